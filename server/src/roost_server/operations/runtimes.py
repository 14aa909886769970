"""What callers may do with runtimes."""

from collections.abc import Sequence
from dataclasses import dataclass

from roost_server.domain import errors
from roost_server.domain.config import RuntimeConfig
from roost_server.domain.endpoint import DEFAULT
from roost_server.domain.runtime import Event, Runtime, Status, Wanted, check_name
from roost_server.operations import idempotency, sources, waiting
from roost_server.operations.caller import Caller
from roost_server.operations.capacity import Capacity
from roost_server.operations.views import RuntimeView, view
from roost_server.store import (
    chores,
    endpoints,
    events,
    images,
    leases,
    replicas,
    runtimes,
    tables,
    versions,
    workspaces,
)
from roost_server.store.cipher import Cipher
from roost_server.store.store import Store, Tx

SETTLING_SECONDS = 0.5
"""A new runtime's host is told to the gateway after this, or with its first ready replica if that is sooner."""

_SETTLED = (Status.ACTIVE, Status.STOPPED, Status.ERROR, Status.PAUSED, Status.SUSPENDED)


@dataclass(frozen=True)
class Context:
    """What the operations work with."""

    store: Store
    cipher: Cipher
    capacity: Capacity


async def create(
    context: Context, caller: Caller, name: str, description: str, config: RuntimeConfig
) -> tuple[RuntimeView, bool]:
    """The runtime, and whether this request made it. Raises `AlreadyExists`, `Invalid`, `Conflict`."""
    check_name(name)
    context.capacity.check(config.resources)
    async with context.store.write() as tx:
        await workspaces.take_turn(tx, caller.workspace_id)
        earlier = await idempotency.earlier(tx, caller)
        if earlier is not None:
            return await _again(tx, caller, earlier), False
        if await runtimes.find(tx, caller.workspace_id, name):
            message = f'cannot create runtime "{name}": the name is taken'
            raise errors.AlreadyExists(message, errors=[errors.FieldError(("name",), message, "already_exists")])
        image = await sources.resolve(tx, caller, config, context.cipher)
        runtime = await runtimes.insert(tx, caller.workspace_id, name, description, config.metadata.labels)
        await versions.insert(tx, runtime.id, 1, config, image.id)
        await endpoints.insert(tx, runtime.id, DEFAULT)
        await idempotency.remember(tx, caller, runtime.id)
        await _record(tx, caller, runtime, "runtime.create")
        await events.record(tx, runtime.id, "runtime.created", f"created with {image.reference}")
        await chores.publish_routes(tx, after_seconds=SETTLING_SECONDS)
        return (await view(tx, caller.workspace, runtime))[0], True


async def _again(tx: Tx, caller: Caller, runtime_id: str) -> RuntimeView:
    runtime = await runtimes.get(tx, runtime_id)
    if runtime is None:
        raise errors.Conflict("cannot repeat this request: the runtime it created has been deleted since")
    return (await view(tx, caller.workspace, runtime))[0]


async def find(tx: Tx, caller: Caller, id_or_name: str, *, to_change: bool = False) -> Runtime:
    """Raises `NotFound`."""
    runtime = await runtimes.find(tx, caller.workspace_id, id_or_name, to_change=to_change)
    if runtime is None:
        raise errors.NotFound(f'cannot find runtime "{id_or_name[:100]}"')
    return runtime


async def get(context: Context, caller: Caller, id_or_name: str) -> RuntimeView:
    async with context.store.read() as tx:
        return (await view(tx, caller.workspace, await find(tx, caller, id_or_name)))[0]


async def page(
    context: Context,
    caller: Caller,
    *,
    statuses: Sequence[str],
    labels: dict[str, str],
    limit: int,
    cursor: str | None,
) -> tuple[list[RuntimeView], str | None]:
    """Newest first."""
    async with context.store.read() as tx:
        found, next_cursor = await runtimes.page(
            tx, caller.workspace_id, statuses=statuses, labels=labels, limit=limit, cursor=cursor
        )
        return await view(tx, caller.workspace, *found), next_cursor


async def describe(
    context: Context, caller: Caller, id_or_name: str, description: str, expected: int | None
) -> RuntimeView:
    """Change the description."""
    async with context.store.write() as tx:
        runtime = await find(tx, caller, id_or_name, to_change=True)
        check_revision(runtime, expected)
        await runtimes.update(tx, runtime, description=description)
        await _record(tx, caller, runtime, "runtime.describe")
        return (await view(tx, caller.workspace, await find(tx, caller, runtime.id)))[0]


async def get_config(context: Context, caller: Caller, id_or_name: str) -> tuple[Runtime, RuntimeConfig]:
    """The latest version's configuration, without the password."""
    async with context.store.read() as tx:
        runtime = await find(tx, caller, id_or_name)
        version = await versions.get(tx, runtime.id, runtime.version)
        assert version is not None
        return runtime, version.config


async def replace_config(
    context: Context, caller: Caller, id_or_name: str, config: RuntimeConfig, expected: int | None
) -> Runtime:
    """A new version; a running runtime starts it beside the one that serves."""
    context.capacity.check(config.resources)
    async with context.store.write() as tx:
        await workspaces.take_turn(tx, caller.workspace_id)
        runtime = await find(tx, caller, id_or_name, to_change=True)
        check_revision(runtime, expected)
        _refuse_when_deleting(runtime)
        before = await versions.get(tx, runtime.id, runtime.version)
        assert before is not None
        config = await sources.keep_password(tx, config, before, context.cipher)
        image = await sources.resolve(tx, caller, config, context.cipher)
        number = runtime.version + 1
        await versions.insert(tx, runtime.id, number, config, image.id)
        await runtimes.update(tx, runtime, version=number, labels=config.metadata.labels)
        if runtime.wanted == Wanted.RUNNING and runtime.status in (Status.ACTIVE, Status.STARTING, Status.ERROR):
            await runtimes.set_status(tx, runtime, Status.UPDATING)
        await events.record(tx, runtime.id, "version.created", f"version {number} with {image.reference}")
        await _record(tx, caller, runtime, "runtime.config")
        await leases.wake(tx, tables.runtimes, runtime.id)
        return await find(tx, caller, runtime.id)


async def start(context: Context, caller: Caller, id_or_name: str) -> RuntimeView:
    """Bring replicas up again. Starting what runs changes nothing, but lets a failed one try again at once."""
    async with context.store.write() as tx:
        runtime = await find(tx, caller, id_or_name, to_change=True)
        _refuse_when_deleting(runtime)
        await _retry_failed(tx, runtime)
        if runtime.wanted != Wanted.RUNNING:
            await runtimes.update(tx, runtime, wanted=Wanted.RUNNING)
            await runtimes.set_status(tx, runtime, Status.STARTING)
            await events.record(tx, runtime.id, "runtime.starting", "asked to start")
        elif runtime.status == Status.ERROR:
            await runtimes.set_status(tx, runtime, Status.STARTING)
        return await _asked(tx, caller, runtime, "runtime.start")


async def stop(context: Context, caller: Caller, id_or_name: str) -> RuntimeView:
    """Drain and remove all replicas; configuration, endpoints and logs stay. Stopping what is stopped succeeds."""
    async with context.store.write() as tx:
        runtime = await find(tx, caller, id_or_name, to_change=True)
        _refuse_when_deleting(runtime)
        if runtime.wanted != Wanted.STOPPED:
            await runtimes.update(tx, runtime, wanted=Wanted.STOPPED)
            await runtimes.set_status(tx, runtime, Status.STOPPING)
            await events.record(tx, runtime.id, "runtime.stopping", "asked to stop")
        return await _asked(tx, caller, runtime, "runtime.stop")


async def delete(context: Context, caller: Caller, id_or_name: str, expected: int | None) -> RuntimeView:
    """Irreversible; the runtime is shown as `deleting` until it is gone. Deleting it meanwhile again succeeds."""
    async with context.store.write() as tx:
        runtime = await find(tx, caller, id_or_name, to_change=True)
        check_revision(runtime, expected)
        if runtime.wanted != Wanted.DELETED:
            await runtimes.update(tx, runtime, wanted=Wanted.DELETED)
            await runtimes.set_status(tx, runtime, Status.DELETING)
        return await _asked(tx, caller, runtime, "runtime.delete")


async def page_events(
    context: Context, caller: Caller, id_or_name: str, limit: int, cursor: str | None
) -> tuple[list[Event], str | None]:
    """Newest first."""
    async with context.store.read() as tx:
        runtime = await find(tx, caller, id_or_name)
        return await events.page(tx, runtime.id, limit, cursor)


async def wait(context: Context, caller: Caller, runtime_id: str, seconds: float) -> RuntimeView | None:
    """The runtime as soon as it has settled, or as it is after `seconds`; None when it is gone."""

    async def read() -> RuntimeView | None:
        async with context.store.read() as tx:
            runtime = await runtimes.get(tx, runtime_id)
            return (await view(tx, caller.workspace, runtime))[0] if runtime else None

    def settled(now: RuntimeView | None) -> bool:
        return now is None or now.runtime.status in _SETTLED

    return await waiting.until(context.store.nudges, "runtime_changes", read, settled, seconds)


def check_revision(runtime: Runtime, expected: int | None) -> None:
    """Raises `Conflict` when the caller has seen an older revision."""
    if expected is not None and expected != runtime.revision:
        raise errors.Conflict(
            f'cannot change runtime "{runtime.name}": If-Match says revision {expected}, '
            f"it is at {runtime.revision}; read it again"
        )


def _refuse_when_deleting(runtime: Runtime) -> None:
    if runtime.wanted == Wanted.DELETED:
        raise errors.Conflict(f'cannot change runtime "{runtime.name}": it is being deleted')


async def _retry_failed(tx: Tx, runtime: Runtime) -> None:
    version = await versions.get(tx, runtime.id, runtime.version)
    assert version is not None
    await images.retry(tx, version.image_id)
    await replicas.retry_failed(tx, runtime.id)


async def _asked(tx: Tx, caller: Caller, runtime: Runtime, verb: str) -> RuntimeView:
    await _record(tx, caller, runtime, verb)
    await leases.wake(tx, tables.runtimes, runtime.id)
    await chores.publish_routes(tx)
    return (await view(tx, caller.workspace, await find(tx, caller, runtime.id)))[0]


async def _record(tx: Tx, caller: Caller, runtime: Runtime, verb: str) -> None:
    await events.record_action(tx, caller.workspace_id, runtime.id, verb, caller.actor, caller.request_id)
