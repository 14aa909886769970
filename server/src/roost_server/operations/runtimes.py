"""What callers may do with runtimes."""

from collections.abc import Sequence
from typing import Any

from roost_server.domain import errors
from roost_server.domain.access import Access
from roost_server.domain.config import RuntimeConfig
from roost_server.domain.endpoint import DEFAULT
from roost_server.domain.runtime import Event, Runtime, Status, Wanted, check_name
from roost_server.operations import canary_moves, idempotency, versions, waiting
from roost_server.operations.caller import Caller
from roost_server.operations.context import Context
from roost_server.operations.finding import check_revision, find, record, refuse_when_deleting
from roost_server.operations.views import RuntimeView, view
from roost_server.store import (
    chores,
    endpoints,
    events,
    images,
    leases,
    replicas,
    runtimes,
    service_accounts,
    tables,
    workspaces,
)
from roost_server.store import versions as version_rows
from roost_server.store.store import Tx

SETTLING_SECONDS = 0.5
"""A new runtime's host is told to the gateway after this, or with its first ready replica if that is sooner."""

_SETTLED = (Status.ACTIVE, Status.STOPPED, Status.ERROR, Status.PAUSED, Status.SUSPENDED)


async def create(
    context: Context,
    caller: Caller,
    name: str,
    description: str,
    config: RuntimeConfig,
    access: Access = endpoints.PUBLIC,
) -> tuple[RuntimeView, bool]:
    """The runtime, and whether this request made it. `access` guards its DEFAULT endpoint.

    Raises `AlreadyExists`, `Invalid`, `Conflict`."""
    check_name(name)
    async with context.store.write() as tx:
        await workspaces.take_turn(tx, caller.workspace_id)
        earlier = await idempotency.earlier(tx, caller)
        if earlier is not None:
            return await _again(tx, caller, earlier), False
        if await runtimes.find(tx, caller.workspace_id, name):
            message = f'cannot create runtime "{name}": the name is taken'
            raise errors.AlreadyExists(message, errors=[errors.FieldError(("name",), message, "already_exists")])
        runtime = await runtimes.insert(tx, caller.workspace_id, name, description, config.metadata.labels)
        _, image = await versions.make(context, tx, caller, runtime.id, 1, config)
        await endpoints.insert(tx, runtime.id, DEFAULT, is_default=True, access=access)
        await service_accounts.ensure(tx, runtime.id, context.cipher)
        await idempotency.remember(tx, caller, runtime.id)
        await record(tx, caller, runtime, "runtime.create")
        await events.record(tx, runtime.id, "runtime.created", f"created with {image.reference}")
        await chores.publish_routes(tx, after_seconds=SETTLING_SECONDS)
        return (await view(tx, caller.workspace, runtime))[0], True


async def _again(tx: Tx, caller: Caller, runtime_id: str) -> RuntimeView:
    runtime = await runtimes.get(tx, runtime_id)
    if runtime is None:
        raise idempotency.gone("runtime")
    return (await view(tx, caller.workspace, runtime))[0]


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
        await record(tx, caller, runtime, "runtime.describe")
        return (await view(tx, caller.workspace, await find(tx, caller, runtime.id)))[0]


async def start(context: Context, caller: Caller, id_or_name: str) -> RuntimeView:
    """Bring replicas up again. Starting what runs changes nothing, but lets a failed one try again at once."""
    async with context.store.write() as tx:
        runtime = await find(tx, caller, id_or_name, to_change=True)
        refuse_when_deleting(runtime)
        await _retry_images(tx, runtime)
        await replicas.retry_failed(tx, runtime.id)
        await _start_an_endpoint(tx, runtime)
        if runtime.wanted != Wanted.RUNNING or runtime.status in (Status.STOPPED, Status.STOPPING):
            await runtimes.update(tx, runtime, wanted=Wanted.RUNNING, applied_version=runtime.version)
            await runtimes.set_status(tx, runtime, Status.STARTING)
            await events.record(tx, runtime.id, "runtime.starting", "asked to start")
        elif runtime.status == Status.ERROR:
            await runtimes.set_status(tx, runtime, Status.STARTING)
        return await _asked(tx, caller, runtime, "runtime.start")


async def _start_an_endpoint(tx: Tx, runtime: Runtime) -> None:
    """Starting a runtime whose endpoints are all stopped starts its default one."""
    its_endpoints = await endpoints.of(tx, runtime.id)
    if all(endpoint.wanted == Wanted.STOPPED for endpoint in its_endpoints):
        default = next(endpoint for endpoint in its_endpoints if endpoint.is_default)
        await endpoints.update(tx, default.id, wanted=Wanted.RUNNING)


async def restart(context: Context, caller: Caller, id_or_name: str) -> RuntimeView:
    """Replace every replica by a new one of the latest version, without downtime. A stopped runtime is started."""
    async with context.store.write() as tx:
        runtime = await find(tx, caller, id_or_name, to_change=True)
        refuse_when_deleting(runtime)
        if runtime.wanted == Wanted.RUNNING and runtime.status not in (Status.STOPPED, Status.STOPPING):
            if runtime.applied_version != runtime.version:
                await versions.refuse_during_canary(tx, runtime, f"apply version {runtime.version}")
            await _retry_images(tx, runtime)
            await versions.mark_updating(tx, runtime)
            await renew(tx, runtime, applied_version=runtime.version)
            return await _asked(tx, caller, runtime, "runtime.restart")
    return await start(context, caller, id_or_name)


async def renew(tx: Tx, runtime: Runtime, **values: Any) -> None:
    """Replace the replicas by new ones of the same versions; those that serve go when the new ones are ready."""
    await runtimes.update(tx, runtime, generation=runtime.generation + 1, **values)
    await events.record(tx, runtime.id, "runtime.restarting", "replicas are replaced by new ones")


async def stop(context: Context, caller: Caller, id_or_name: str) -> RuntimeView:
    """Drain and remove all replicas; configuration, endpoints and logs stay. Stopping what is stopped succeeds."""
    async with context.store.write() as tx:
        runtime = await find(tx, caller, id_or_name, to_change=True)
        refuse_when_deleting(runtime)
        if runtime.wanted != Wanted.STOPPED:
            await canary_moves.abort_all(tx, runtime, "the runtime was stopped")
            await runtimes.update(tx, runtime, wanted=Wanted.STOPPED)
            if runtime.status != Status.STOPPED:  # as it is when all its endpoints were stopped
                await runtimes.set_status(tx, runtime, Status.STOPPING)
            await events.record(tx, runtime.id, "runtime.stopping", "asked to stop")
        return await _asked(tx, caller, runtime, "runtime.stop")


async def delete(context: Context, caller: Caller, id_or_name: str, expected: int | None) -> RuntimeView:
    """Irreversible; the runtime is shown as `deleting` until it is gone. Deleting it meanwhile again succeeds."""
    async with context.store.write() as tx:
        runtime = await find(tx, caller, id_or_name, to_change=True)
        check_revision(runtime, expected)
        if runtime.wanted != Wanted.DELETED:
            await canary_moves.abort_all(tx, runtime, "the runtime was deleted")
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
    """The runtime as soon as it has settled and the gateway has confirmed its endpoints, or as it is after `seconds`;
    None when it is gone."""

    async def read() -> RuntimeView | None:
        async with context.store.read() as tx:
            runtime = await runtimes.get(tx, runtime_id)
            return (await view(tx, caller.workspace, runtime))[0] if runtime else None

    def settled(now: RuntimeView | None) -> bool:
        if now is None:
            return True
        return now.runtime.status in _SETTLED and all(view.endpoint.is_routed for view in now.endpoints)

    return await waiting.until(context.store.nudges, "runtime_changes", read, settled, seconds)


async def _retry_images(tx: Tx, runtime: Runtime) -> None:
    """Of the latest version and of every one that has replicas: an endpoint may be pinned to an older one."""
    numbers = {runtime.version} | {replica.version for replica in await replicas.of(tx, runtime.id)}
    its_versions = await version_rows.in_use(tx, {runtime.id: numbers})
    for image_id in sorted({version.image_id for version in its_versions.values()}):
        await images.retry(tx, image_id)


async def _asked(tx: Tx, caller: Caller, runtime: Runtime, verb: str) -> RuntimeView:
    await record(tx, caller, runtime, verb)
    await leases.wake(tx, tables.runtimes, runtime.id)
    await chores.publish_routes(tx)
    return (await view(tx, caller.workspace, await find(tx, caller, runtime.id)))[0]
