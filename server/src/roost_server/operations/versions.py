"""What callers may do with a runtime's configuration: read it, replace it by a new version, look at older ones."""

from dataclasses import replace
from typing import Any

from roost_server.domain import errors
from roost_server.domain.config import Resources, RuntimeConfig
from roost_server.domain.image import Image
from roost_server.domain.runtime import Runtime, Status, Wanted
from roost_server.domain.version import Version
from roost_server.operations import sources
from roost_server.operations.caller import Caller
from roost_server.operations.context import Context
from roost_server.operations.finding import check_revision, find, record, refuse_when_deleting
from roost_server.store import (
    canaries,
    endpoints,
    events,
    flavors,
    leases,
    runtimes,
    tables,
    versions,
    workspaces,
)
from roost_server.store.store import Tx


async def make(
    context: Context, tx: Tx, caller: Caller, runtime_id: str, number: int, config: RuntimeConfig
) -> tuple[Version, Image]:
    """A new version, inserted. Raises `Invalid` when its image or size cannot be had."""
    size = await size_of(context, tx, config.resources)
    image = await sources.resolve(tx, caller, config, context.cipher)
    version = Version(runtime_id, number, config, image.id, leases.now(), size.cpu_cores, size.memory_mb)
    await versions.insert(tx, version)
    return version, image


async def size_of(context: Context, tx: Tx, resources: Resources) -> Resources:
    """In numbers, whatever flavor stands for them. Raises `Invalid` for an unknown flavor or too large a size."""
    if resources.flavor is None:
        context.capacity.check(resources)
        return resources
    flavor = await flavors.find(tx, resources.flavor)
    if flavor is None:
        message = f'cannot find flavor "{resources.flavor}"; `roost flavor list` (GET …/flavors) tells what there is'
        raise errors.Invalid(message, errors=[errors.FieldError(("config", "resources", "flavor"), message)])
    size = replace(resources, flavor=None, cpu_cores=flavor.cpu_cores, memory_mb=flavor.memory_mb)
    context.capacity.check(size, flavor=flavor.name)
    return size


async def get_config(context: Context, caller: Caller, id_or_name: str) -> tuple[Runtime, RuntimeConfig]:
    """The latest version's configuration, without the password."""
    async with context.store.read() as tx:
        runtime = await find(tx, caller, id_or_name)
        return runtime, (await _get(tx, runtime, runtime.version)).config


async def replace_config(
    context: Context,
    caller: Caller,
    id_or_name: str,
    config: RuntimeConfig,
    expected: int | None,
    *,
    apply: bool = True,
) -> Runtime:
    """A new version. With `apply`, endpoints that follow the latest roll it out beside what serves; without, it is
    only recorded, and applied by the next start, restart or canary."""
    async with context.store.write() as tx:
        await workspaces.take_turn(tx, caller.workspace_id)
        runtime = await find(tx, caller, id_or_name, to_change=True)
        check_revision(runtime, expected)
        refuse_when_deleting(runtime)
        return await replace_in(context, tx, caller, runtime, config, apply=apply)


async def replace_in(
    context: Context, tx: Tx, caller: Caller, runtime: Runtime, config: RuntimeConfig, *, apply: bool
) -> Runtime:
    """`replace_config` within a transaction that holds the runtime."""
    number = runtime.version + 1
    if apply:
        await refuse_during_canary(tx, runtime, f"apply version {number}")
    config = await sources.keep_password(tx, config, await _get(tx, runtime, runtime.version), context.cipher)
    _, image = await make(context, tx, caller, runtime.id, number, config)
    await runtimes.update(tx, runtime, version=number, labels=config.metadata.labels)
    only = "" if apply else "; recorded, not applied"
    made = f"version {number} with {image.reference}{only}"
    await events.record(tx, runtime.id, "version.created", made, data={"version": number})
    await record(tx, caller, runtime, "runtime.config")
    if apply:
        await apply_version(tx, runtime, number)
    return await find(tx, caller, runtime.id)


async def apply_version(tx: Tx, runtime: Runtime, number: int) -> None:
    """Let every endpoint that follows the latest have this version."""
    await runtimes.update(tx, runtime, applied_version=number)
    followed = any(
        endpoint.pinned_version is None and endpoint.wanted == Wanted.RUNNING and endpoint.split is None
        for endpoint in await endpoints.of(tx, runtime.id)
    )
    if runtime.applied_version != number and followed:
        await mark_updating(tx, runtime)
    await leases.wake(tx, tables.runtimes, runtime.id)


async def mark_updating(tx: Tx, runtime: Runtime) -> None:
    """Say at once that something is under way, so that whoever waits waits for it."""
    if runtime.wanted == Wanted.RUNNING and runtime.status in (Status.ACTIVE, Status.STARTING, Status.ERROR):
        await runtimes.set_status(tx, runtime, Status.UPDATING)


async def refuse_during_canary(tx: Tx, runtime: Runtime, doing: str) -> None:
    """Raises `Conflict` while a canary of an endpoint that follows the latest is under way."""
    for endpoint in await endpoints.of(tx, runtime.id):
        canary = await canaries.under_way(tx, endpoint.id)
        if canary is not None and endpoint.pinned_version is None:
            raise errors.Conflict(
                f'cannot {doing} of runtime "{runtime.name}": a canary of {endpoint.name} is under way; '
                "promote or abort it first, or only record the version (`roost deploy --no-apply`, apply=next_start)"
            )


async def page(
    context: Context, caller: Caller, id_or_name: str, limit: int, before: int | None
) -> tuple[list[Version], str | None]:
    """Newest first."""
    async with context.store.read() as tx:
        runtime = await find(tx, caller, id_or_name)
        return await versions.page(tx, runtime.id, limit, before)


async def get(context: Context, caller: Caller, id_or_name: str, number: int) -> Version:
    """Raises `NotFound`."""
    async with context.store.read() as tx:
        return await _get(tx, await find(tx, caller, id_or_name), number)


async def _get(tx: Tx, runtime: Runtime, number: int) -> Version:
    version = await versions.get(tx, runtime.id, number)
    if version is None:
        raise errors.NotFound(f'cannot find version {number} of runtime "{runtime.name}"')
    return version


async def diff(context: Context, caller: Caller, id_or_name: str, number: int, other: int) -> dict[str, Any]:
    """What `number` changed against `other`: by dotted field, both values."""
    async with context.store.read() as tx:
        runtime = await find(tx, caller, id_or_name)
        after, before = await _get(tx, runtime, number), await _get(tx, runtime, other)
    old, new = versions.to_document(before.config), versions.to_document(after.config)
    return differences(old, new)


def differences(old: Any, new: Any, path: str = "") -> dict[str, Any]:
    """Leaves that differ: dotted path → {"from": …, "to": …}. Lists are compared whole."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return {} if old == new else {path: {"from": old, "to": new}}
    found: dict[str, Any] = {}
    for key in sorted(old.keys() | new.keys()):
        found |= differences(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    return found
