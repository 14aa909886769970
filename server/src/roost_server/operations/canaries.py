"""What callers may do with canaries: start, list, get, pause, resume, promote, abort and retry them."""

import time
from dataclasses import dataclass

from roost_server.domain import errors
from roost_server.domain.canary import UNDER_WAY, Canary, CanaryStatus, Terms, check_steps
from roost_server.domain.endpoint import Endpoint
from roost_server.domain.runtime import Runtime, Wanted
from roost_server.operations import canary_moves, idempotency, versions, waiting
from roost_server.operations import endpoints as endpoint_verbs
from roost_server.operations.caller import Caller
from roost_server.operations.context import Context
from roost_server.operations.finding import find, find_endpoint, record, refuse_when_deleting
from roost_server.store import canaries, chores, endpoints, leases, tables
from roost_server.store import versions as version_rows
from roost_server.store.store import Tx

CURRENT = "current"
"""Instead of an id: the one under way, or the last one."""


@dataclass(frozen=True)
class CanaryView:
    canary: Canary
    runtime: Runtime
    endpoint: Endpoint


async def start(
    context: Context, caller: Caller, runtime_name: str, to: int, endpoint_name: str | None, terms: Terms
) -> CanaryView:
    """Give a version a growing share of an endpoint's traffic. Raises `Invalid`, and `Conflict` when the endpoint does
    not serve exactly one version."""
    check_steps(terms.steps)
    async with context.store.write() as tx:
        runtime = await find(tx, caller, runtime_name, to_change=True)
        refuse_when_deleting(runtime)
        earlier = await idempotency.earlier(tx, caller)
        if earlier is not None:
            return await _again(tx, runtime, earlier)
        endpoint = await _endpoint_of(tx, runtime, endpoint_name)
        return await _start(tx, caller, runtime, endpoint, to, terms)


async def _again(tx: Tx, runtime: Runtime, canary_id: str) -> CanaryView:
    made = await canaries.get(tx, canary_id)
    if made is None:
        raise idempotency.gone("canary")
    return await _view(tx, runtime, made)


async def _endpoint_of(tx: Tx, runtime: Runtime, name: str | None) -> Endpoint:
    """What the body names and is not there is a wrong field, not a wrong path."""
    try:
        return await find_endpoint(tx, runtime, name)
    except errors.NotFound as error:
        field = errors.FieldError(("endpoint",), error.message, "not_found")
        raise errors.Invalid(error.message, errors=[field]) from error


async def _start(tx: Tx, caller: Caller, runtime: Runtime, endpoint: Endpoint, to: int, terms: Terms) -> CanaryView:
    serving = await _serving(tx, runtime, endpoint)
    await _check_target(tx, runtime, endpoint, serving, to)
    canary = await canaries.insert(tx, endpoint, serving, to, terms)
    await endpoints.update(tx, endpoint.id, split=canary.split)
    await versions.mark_updating(tx, runtime)
    steps = ", ".join(f"{step} %" for step in terms.steps)
    await canary_moves.tell(tx, canary, endpoint, "started", f"version {to} takes over from version {serving}: {steps}")
    await idempotency.remember(tx, caller, canary.id)
    return await _asked(tx, caller, runtime, canary, "canary.start")


async def _serving(tx: Tx, runtime: Runtime, endpoint: Endpoint) -> int:
    """The one version that the endpoint serves and is to serve. Raises `Conflict` when there is none."""
    if await canaries.under_way(tx, endpoint.id) is not None:
        raise _refused(runtime, endpoint, "a canary of it is under way; promote or abort that one first")
    if runtime.wanted != Wanted.RUNNING or endpoint.wanted != Wanted.RUNNING:
        raise _refused(runtime, endpoint, "it is stopped; start it first")
    if endpoint.split is not None:
        raise _refused(runtime, endpoint, "its traffic is split by hand; point it to one version first")
    if not endpoint.live or endpoint.live_version is None:
        raise _refused(runtime, endpoint, "it serves nothing yet; wait until it is active")
    if endpoint.live != endpoint.shares(runtime.applied_version):
        target = endpoint.target(runtime.applied_version)
        raise _refused(runtime, endpoint, f"it is on its way to version {target}; wait, or point it back first")
    return endpoint.live_version


def _refused(runtime: Runtime, endpoint: Endpoint, why: str) -> errors.Conflict:
    message = f'cannot start a canary of endpoint "{endpoint.name}" of runtime "{runtime.name}": {why}'
    return errors.Conflict(message, errors=[errors.FieldError(("endpoint",), message, "conflict")])


async def _check_target(tx: Tx, runtime: Runtime, endpoint: Endpoint, serving: int, to: int) -> None:
    if to == serving:
        message = f'cannot start a canary to version {to}: endpoint "{endpoint.name}" serves it already'
        raise errors.Invalid(message, errors=[errors.FieldError(("to",), message)])
    if await version_rows.get(tx, runtime.id, to) is None:
        message = (
            f'cannot start a canary to version {to} of runtime "{runtime.name}": it has versions 1 to '
            f"{runtime.version}; record a new one with `roost deploy --no-apply` (PUT …/config?apply=next_start)"
        )
        raise errors.Invalid(message, errors=[errors.FieldError(("to",), message, "not_found")])


async def page(
    context: Context, caller: Caller, runtime_name: str, limit: int, cursor: str | None
) -> tuple[list[CanaryView], str | None]:
    """Newest first."""
    async with context.store.read() as tx:
        runtime = await find(tx, caller, runtime_name)
        found, next_cursor = await canaries.page(tx, runtime.id, limit, cursor)
        return [await _view(tx, runtime, one) for one in found], next_cursor


async def get(context: Context, caller: Caller, runtime_name: str, id_or_current: str) -> CanaryView:
    """Raises `NotFound`; `Conflict` when several are under way and none is named."""
    async with context.store.read() as tx:
        runtime = await find(tx, caller, runtime_name)
        return await _view(tx, runtime, await _find(tx, runtime, id_or_current))


async def wait(context: Context, caller: Caller, runtime_name: str, canary_id: str, seconds: float) -> CanaryView:
    """The canary as soon as it has ended and the gateway has what its endpoint serves since then, or as it is after
    `seconds`; as it ended when it goes with its endpoint or runtime."""
    deadline = time.monotonic() + seconds
    view = await waiting.until(
        context.store.nudges,
        "canary_changes",
        lambda: get(context, caller, runtime_name, canary_id),
        lambda view: view.canary.has_ended,
        seconds,
    )
    left = deadline - time.monotonic()
    if not view.canary.has_ended or left <= 0:
        return view
    try:
        await endpoint_verbs.wait(context, caller, view.runtime.id, view.endpoint.id, left, settles=False)
        return await get(context, caller, runtime_name, canary_id)
    except errors.NotFound:
        return view


async def pause(
    context: Context, caller: Caller, runtime_name: str, id_or_current: str, expected: int | None
) -> CanaryView:
    """Keep its weight where it is; it is still rolled back when it does worse. Pausing what is paused succeeds."""
    async with context.store.write() as tx:
        view = await _to_change(tx, caller, runtime_name, id_or_current, expected, "pause")
        if view.canary.status == CanaryStatus.RUNNING:
            message = f"paused at {view.canary.weight} %"
            await canaries.set_status(tx, view.canary, CanaryStatus.PAUSED, message=message)
            await canary_moves.tell(tx, view.canary, view.endpoint, "paused", message)
        return await _asked(tx, caller, view.runtime, view.canary, "canary.pause")


async def resume(
    context: Context, caller: Caller, runtime_name: str, id_or_current: str, expected: int | None
) -> CanaryView:
    """Let it go on; the time that it was paused counts for its step. Resuming what runs succeeds."""
    async with context.store.write() as tx:
        view = await _to_change(tx, caller, runtime_name, id_or_current, expected, "resume")
        if view.canary.status == CanaryStatus.PAUSED:
            await canaries.set_status(tx, view.canary, CanaryStatus.RUNNING, message=None)
            await canary_moves.tell(tx, view.canary, view.endpoint, "resumed", f"goes on at {view.canary.weight} %")
        return await _asked(tx, caller, view.runtime, view.canary, "canary.resume")


async def promote(
    context: Context, caller: Caller, runtime_name: str, id_or_current: str, expected: int | None
) -> CanaryView:
    """All traffic to the new version as soon as it has the replicas for it, unjudged. Promoting it again succeeds."""
    async with context.store.write() as tx:
        view = await _to_change(
            tx, caller, runtime_name, id_or_current, expected, "promote", done=(CanaryStatus.SUCCEEDED,)
        )
        canary, last = view.canary, len(view.canary.steps) - 1
        if not canary.has_ended and (canary.step < last or canary.status == CanaryStatus.PAUSED):
            canary = await canary_moves.go_to(tx, view.runtime, view.endpoint, canary, last, baseline=None)
            await canary_moves.tell(
                tx, canary, view.endpoint, "promoted", f"version {canary.to_version} takes over now"
            )
        return await _asked(tx, caller, view.runtime, canary, "canary.promote")


async def abort(
    context: Context, caller: Caller, runtime_name: str, id_or_current: str, expected: int | None
) -> CanaryView:
    """Back to the old version at once. Aborting what was aborted or rolled back succeeds."""
    back = (CanaryStatus.ABORTED, CanaryStatus.ROLLED_BACK)
    async with context.store.write() as tx:
        view = await _to_change(tx, caller, runtime_name, id_or_current, expected, "abort", done=back)
        if not view.canary.has_ended:
            message = f"aborted by {caller.actor} at {view.canary.weight} %"
            await canary_moves.go_back(tx, view.runtime, view.endpoint, view.canary, CanaryStatus.ABORTED, message)
        return await _asked(tx, caller, view.runtime, view.canary, "canary.abort")


async def retry(
    context: Context, caller: Caller, runtime_name: str, id_or_current: str, expected: int | None
) -> CanaryView:
    """A new canary with the same parameters as one that was rolled back or aborted."""
    back = (CanaryStatus.ABORTED, CanaryStatus.ROLLED_BACK)
    async with context.store.write() as tx:
        runtime = await find(tx, caller, runtime_name, to_change=True)
        refuse_when_deleting(runtime)
        earlier = await idempotency.earlier(tx, caller)
        if earlier is not None:
            return await _again(tx, runtime, earlier)
        view = await _view(tx, runtime, await _find(tx, runtime, id_or_current))
        canary = view.canary
        _check_revision(canary, expected)
        if canary.status not in back:
            raise errors.Conflict(
                f"cannot retry canary {canary.id}: it is {canary.status}, and only what was rolled back or aborted is "
                "tried again"
            )
        return await _start(tx, caller, runtime, view.endpoint, canary.to_version, canary.terms)


async def _to_change(
    tx: Tx,
    caller: Caller,
    runtime_name: str,
    id_or_current: str,
    expected: int | None,
    verb: str,
    *,
    done: tuple[CanaryStatus, ...] = (),
) -> CanaryView:
    """One that is under way, or already is as the verb leaves it. Raises `Conflict` otherwise."""
    runtime = await find(tx, caller, runtime_name, to_change=True)
    refuse_when_deleting(runtime)
    canary = await _find(tx, runtime, id_or_current)
    if canary.status not in (*UNDER_WAY, *done):
        raise errors.Conflict(f"cannot {verb} canary {canary.id}: it has ended, {canary.status}")
    _check_revision(canary, expected)
    return await _view(tx, runtime, canary)


async def _find(tx: Tx, runtime: Runtime, id_or_current: str) -> Canary:
    if id_or_current == CURRENT:
        return await _current(tx, runtime)
    canary = await canaries.get(tx, id_or_current.lower())
    if canary is None or canary.runtime_id != runtime.id:
        raise errors.NotFound(f'cannot find canary "{id_or_current[:100]}" of runtime "{runtime.name}"')
    return canary


async def _current(tx: Tx, runtime: Runtime) -> Canary:
    moving = await canaries.all_under_way(tx, runtime.id)
    if len(moving) > 1:
        ids = ", ".join(canary.id for canary in moving)
        raise errors.Conflict(f'cannot tell which canary of runtime "{runtime.name}" is meant: name one of {ids}')
    found = moving or (await canaries.page(tx, runtime.id, 1, None))[0]
    if not found:
        raise errors.NotFound(f'cannot find a canary of runtime "{runtime.name}": it never had one')
    return found[0]


def _check_revision(canary: Canary, expected: int | None) -> None:
    if expected is not None and expected != canary.revision:
        raise errors.Conflict(
            f"cannot change canary {canary.id}: If-Match says revision {expected}, it is at {canary.revision}; "
            "read it again"
        )


async def _view(tx: Tx, runtime: Runtime, canary: Canary) -> CanaryView:
    return CanaryView(canary, runtime, await find_endpoint(tx, runtime, canary.endpoint_id))


async def _asked(tx: Tx, caller: Caller, runtime: Runtime, canary: Canary, verb: str) -> CanaryView:
    await record(tx, caller, runtime, verb)
    await leases.wake(tx, tables.runtimes, runtime.id)
    await leases.wake(tx, tables.canaries, canary.id)
    await chores.publish_routes(tx)
    again = await find(tx, caller, runtime.id)
    return await _view(tx, again, await _find(tx, again, canary.id))
