"""What callers may do with endpoints: create, list, get, re-point, split, guard, start, stop and delete them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from roost_server.domain import errors, standing
from roost_server.domain.access import Access
from roost_server.domain.endpoint import SETTLED, Endpoint, EndpointStatus, Weights, check_name, check_weights
from roost_server.domain.runtime import Runtime, Status, Wanted
from roost_server.operations import canary_moves, idempotency, waiting
from roost_server.operations.caller import Caller
from roost_server.operations.context import Context
from roost_server.operations.finding import check_revision, find, find_endpoint, record, refuse_when_deleting
from roost_server.operations.versions import mark_updating
from roost_server.operations.views import EndpointView, view_endpoints
from roost_server.store import (
    canaries,
    chores,
    endpoints,
    events,
    key_sets,
    leases,
    replicas,
    runtimes,
    tables,
    versions,
)
from roost_server.store.store import Tx

MOST_ENDPOINTS = 50
"""Of one runtime: each may need replicas of its own."""


@dataclass(frozen=True)
class Change:
    """What a caller wants to be different; None leaves it as it is. `follow`: the latest version, pinned no longer."""

    version: int | None = None
    follow: bool = False
    split: Weights | None = None
    make_default: bool = False
    access: Access | None = None

    @property
    def re_points(self) -> bool:
        """Whether it is about versions, and so may need replicas."""
        return self.version is not None or self.follow or self.split is not None


async def create(
    context: Context, caller: Caller, runtime_name: str, name: str, version: int | None, access: Access
) -> EndpointView:
    """A further URL, pinned to a version, or following the latest when None. Raises `AlreadyExists`, `Invalid`."""
    check_name(name)
    async with context.store.write() as tx:
        runtime = await find(tx, caller, runtime_name, to_change=True)
        refuse_when_deleting(runtime)
        earlier = await idempotency.earlier(tx, caller)
        if earlier is not None:
            return await _again(tx, runtime, earlier)
        there = await endpoints.of(tx, runtime.id)
        _refuse_taken(runtime, name, there)
        if version is not None:
            await _check_version(tx, runtime, version, "version")
        made = await endpoints.insert(tx, runtime.id, name, pinned=version, access=access)
        await _have_keys(tx, access)
        await idempotency.remember(tx, caller, made.id)
        await events.record(tx, runtime.id, "endpoint.created", f"endpoint {name} for {_aim(version)}")
        if runtime.status in (Status.STOPPED, Status.STOPPING) and runtime.wanted == Wanted.RUNNING:
            await runtimes.set_status(tx, runtime, Status.STARTING)
        else:
            await mark_updating(tx, runtime)
        return await _asked(tx, caller, runtime, made.id, "endpoint.create")


async def _again(tx: Tx, runtime: Runtime, endpoint_id: str) -> EndpointView:
    made = await endpoints.get(tx, endpoint_id)
    if made is None:
        raise idempotency.gone("endpoint")
    return await _view(tx, runtime, made)


async def _have_keys(tx: Tx, access: Access) -> None:
    """Where others' tokens are accepted, have the keys fetched that say which those are."""
    if access.jwt is not None and access.jwt.keys_url is not None:
        await key_sets.ensure(tx, access.jwt.keys_url)


def _refuse_taken(runtime: Runtime, name: str, there: Sequence[Endpoint]) -> None:
    if name.lower() in (endpoint.name.lower() for endpoint in there):
        message = f'cannot create endpoint "{name}" of runtime "{runtime.name}": the name is taken'
        raise errors.AlreadyExists(message, errors=[errors.FieldError(("name",), message, "already_exists")])
    if len(there) >= MOST_ENDPOINTS:
        raise errors.Conflict(
            f'cannot create endpoint "{name}" of runtime "{runtime.name}": it has {len(there)}, which is the most; '
            "delete one first"
        )


def _aim(version: int | None) -> str:
    return "the latest version" if version is None else f"version {version}"


async def listed(context: Context, caller: Caller, runtime_name: str) -> list[EndpointView]:
    """Oldest first."""
    async with context.store.read() as tx:
        runtime = await find(tx, caller, runtime_name)
        boxes = await replicas.of(tx, runtime.id)
        return await view_endpoints(tx, runtime, await endpoints.of(tx, runtime.id), boxes)


async def get(context: Context, caller: Caller, runtime_name: str, name: str | None) -> EndpointView:
    """By id or name; the default one when None. Raises `NotFound`."""
    async with context.store.read() as tx:
        runtime = await find(tx, caller, runtime_name)
        return await _view(tx, runtime, await find_endpoint(tx, runtime, name))


async def update(
    context: Context, caller: Caller, runtime_name: str, name: str | None, change: Change, expected: int | None
) -> EndpointView:
    """Re-point, split, guard, or make it the default. What serves goes on until the replicas for it are ready.

    Raises `Conflict` while a canary moves its traffic, `Invalid` for a version that does not exist."""
    async with context.store.write() as tx:
        runtime = await find(tx, caller, runtime_name, to_change=True)
        endpoint = await find_endpoint(tx, runtime, name)
        return await update_in(tx, caller, runtime, endpoint, change, expected)


async def update_in(
    tx: Tx, caller: Caller, runtime: Runtime, endpoint: Endpoint, change: Change, expected: int | None = None
) -> EndpointView:
    """`update` within a transaction that holds the runtime."""
    refuse_when_deleting(runtime)
    check_revision(endpoint, expected)
    values = await _aimed(tx, runtime, endpoint, change)
    if change.access is not None:
        values["access"] = change.access
        await _have_keys(tx, change.access)
    if change.make_default and not endpoint.is_default:
        await _take_default(tx, runtime, endpoint)
        values["is_default"] = True
    if values:
        await endpoints.update(tx, endpoint.id, **values)
    return await _asked(tx, caller, runtime, endpoint.id, "endpoint.update")


async def _aimed(tx: Tx, runtime: Runtime, endpoint: Endpoint, change: Change) -> dict[str, Any]:
    """The columns that say which versions it should serve."""
    if change.version is None and not change.follow and change.split is None:
        return {}
    if await canaries.under_way(tx, endpoint.id) is not None:
        raise errors.Conflict(
            f'cannot re-point endpoint "{endpoint.name}" of runtime "{runtime.name}": a canary moves its traffic; '
            "promote or abort it first"
        )
    if change.split is not None:
        split = check_weights(change.split)
        for version in split:
            await _check_version(tx, runtime, version, "split")
        values: dict[str, Any] = {"split": split}
        if len(split) == 1:
            values = {"split": None, "pinned_version": next(iter(split))}
    else:
        if change.version is not None:
            await _check_version(tx, runtime, change.version, "version")
        values = {"split": None, "pinned_version": change.version}
    if endpoint.wanted == Wanted.RUNNING:
        await mark_updating(tx, runtime)
    return values


async def _check_version(tx: Tx, runtime: Runtime, number: int, where: str) -> None:
    if await versions.get(tx, runtime.id, number) is None:
        message = f'cannot serve version {number} of runtime "{runtime.name}": it has versions 1 to {runtime.version}'
        raise errors.Invalid(message, errors=[errors.FieldError((where,), message, "not_found")])


async def _take_default(tx: Tx, runtime: Runtime, endpoint: Endpoint) -> None:
    before = await find_endpoint(tx, runtime, None)
    await endpoints.update(tx, before.id, is_default=False)
    message = f"{endpoint.name} is the default endpoint now, instead of {before.name}"
    await events.record(tx, runtime.id, "endpoint.default", message)


async def start(context: Context, caller: Caller, runtime_name: str, name: str) -> EndpointView:
    """Serve again. Starting what runs changes nothing."""
    async with context.store.write() as tx:
        runtime = await find(tx, caller, runtime_name, to_change=True)
        endpoint = await find_endpoint(tx, runtime, name)
        refuse_when_deleting(runtime)
        if endpoint.wanted != Wanted.RUNNING:
            await endpoints.update(tx, endpoint.id, wanted=Wanted.RUNNING)
            await events.record(tx, runtime.id, "endpoint.starting", f"{endpoint.name}: asked to start")
            if runtime.wanted == Wanted.RUNNING and runtime.status in (Status.STOPPED, Status.STOPPING):
                await runtimes.set_status(tx, runtime, Status.STARTING)
            else:
                await mark_updating(tx, runtime)
        return await _asked(tx, caller, runtime, endpoint.id, "endpoint.start")


async def stop(context: Context, caller: Caller, runtime_name: str, name: str) -> EndpointView:
    """Answer 503 and give its replicas up, unless other endpoints need them. Stopping what is stopped succeeds.

    Raises `Conflict` while a canary moves its traffic."""
    async with context.store.write() as tx:
        runtime = await find(tx, caller, runtime_name, to_change=True)
        endpoint = await find_endpoint(tx, runtime, name)
        refuse_when_deleting(runtime)
        if await canaries.under_way(tx, endpoint.id) is not None:
            raise errors.Conflict(f'cannot stop endpoint "{endpoint.name}": a canary moves its traffic; abort it first')
        if endpoint.wanted != Wanted.STOPPED:
            await endpoints.update(tx, endpoint.id, wanted=Wanted.STOPPED)
            await events.record(tx, runtime.id, "endpoint.stopping", f"{endpoint.name}: asked to stop")
            await _stop_with_the_last(tx, runtime)
        return await _asked(tx, caller, runtime, endpoint.id, "endpoint.stop")


async def _stop_with_the_last(tx: Tx, runtime: Runtime) -> None:
    """A runtime none of whose endpoints is to serve has nothing to run for."""
    none_serves = all(one.wanted == Wanted.STOPPED for one in await endpoints.of(tx, runtime.id))
    if runtime.wanted == Wanted.RUNNING and runtime.status != Status.STOPPED and none_serves:
        await runtimes.set_status(tx, runtime, Status.STOPPING)


async def delete(context: Context, caller: Caller, runtime_name: str, name: str, expected: int | None) -> None:
    """Its URL answers 404 once the gateway has that, and with it the default endpoint anew. Raises `Conflict` for that
    one."""
    async with context.store.write() as tx:
        runtime = await find(tx, caller, runtime_name, to_change=True)
        endpoint = await find_endpoint(tx, runtime, name)
        refuse_when_deleting(runtime)
        check_revision(endpoint, expected)
        if endpoint.is_default:
            raise errors.Conflict(
                f'cannot delete endpoint "{endpoint.name}" of runtime "{runtime.name}": it is the default one; '
                "make another one the default first, or delete the runtime"
            )
        await endpoints.retell(tx, (await find_endpoint(tx, runtime, None)).id)
        await canary_moves.abort_all(tx, runtime, "the endpoint was deleted", endpoint_id=endpoint.id)
        await endpoints.delete(tx, endpoint.id)
        await events.record(tx, runtime.id, "endpoint.deleted", f"endpoint {endpoint.name} deleted")
        await _stop_with_the_last(tx, runtime)
        await record(tx, caller, runtime, "endpoint.delete")
        await leases.wake(tx, tables.runtimes, runtime.id)
        await chores.publish_routes(tx)


async def wait(
    context: Context, caller: Caller, runtime_name: str, name: str | None, seconds: float, *, settles: bool = True
) -> EndpointView:
    """The endpoint, by id or name, the default one when None: as soon as it has settled, the gateway has confirmed it
    and its runtime's own status says so too, or as it is after `seconds`.

    What the runtime's other endpoints wait for does not hold it up. Without `settles` the gateway's word is enough,
    which a change needs that is not about versions: whatever else is under way has nothing to do with it. A failure
    counts once the runtime was looked at: until then it may be one from before the change."""

    async def look() -> tuple[EndpointView, bool]:
        async with context.store.read() as tx:
            runtime = await find(tx, caller, runtime_name)
            endpoint = await find_endpoint(tx, runtime, name)
            its_endpoints, boxes = await endpoints.of(tx, runtime.id), await replicas.of(tx, runtime.id)
            (view,) = await view_endpoints(tx, runtime, [endpoint], boxes)
            return view, standing.was_looked_at(runtime, its_endpoints, boxes)

    def settled(seen: tuple[EndpointView, bool]) -> bool:
        view, was_looked_at = seen
        is_failure_from_before = view.status == EndpointStatus.ERROR and view.runtime.status in standing.ON_ITS_WAY
        as_wanted = not settles or (view.status in SETTLED and not is_failure_from_before)
        return as_wanted and view.routed and was_looked_at

    nudges = context.store.nudges
    found, _ = await waiting.until(nudges, "runtime_changes", look, settled, seconds)
    return found


async def _view(tx: Tx, runtime: Runtime, endpoint: Endpoint) -> EndpointView:
    return (await view_endpoints(tx, runtime, [endpoint], await replicas.of(tx, runtime.id)))[0]


async def _asked(tx: Tx, caller: Caller, runtime: Runtime, endpoint_id: str, verb: str) -> EndpointView:
    await record(tx, caller, runtime, verb)
    await leases.wake(tx, tables.runtimes, runtime.id)
    await chores.publish_routes(tx)
    again = await find(tx, caller, runtime.id)
    return await _view(tx, again, await find_endpoint(tx, again, endpoint_id))
