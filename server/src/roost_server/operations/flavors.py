"""What callers may do with flavors. The catalogue is one for the installation; only administrators change it.

Changing or deleting a flavor changes no version that was made of it: versions keep their numbers.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from roost_server.domain import errors
from roost_server.domain.config import Resources
from roost_server.domain.flavor import Flavor, check_name
from roost_server.operations import idempotency
from roost_server.operations.caller import Caller
from roost_server.operations.context import Context
from roost_server.store import events, flavors
from roost_server.store.store import Tx


async def create(
    context: Context, caller: Caller, name: str, description: str, cpu_cores: float, memory_mb: int
) -> Flavor:
    """A new size. Raises `Forbidden`, `AlreadyExists`, `Invalid` for one that this machine cannot hold."""
    _check_right(caller, f'create flavor "{name[:100]}"')
    check_name(name)
    context.capacity.check(Resources(cpu_cores=cpu_cores, memory_mb=memory_mb), within=())
    async with context.store.write() as tx:
        await flavors.take_turn(tx)
        earlier = await idempotency.earlier(tx, caller)
        if earlier is not None:
            return await _again(tx, earlier)
        if await flavors.find(tx, name):
            message = f'cannot create flavor "{name}": the name is taken'
            raise errors.AlreadyExists(message, errors=[errors.FieldError(("name",), message, "already_exists")])
        made = await flavors.insert(tx, name, description, cpu_cores, memory_mb)
        await idempotency.remember(tx, caller, made.id)
        await _record(tx, caller, "flavor.create")
        return made


async def _again(tx: Tx, flavor_id: str) -> Flavor:
    found = await flavors.find(tx, flavor_id)
    if found is None:
        raise idempotency.gone("flavor")
    return found


async def page(context: Context, limit: int, cursor: str | None) -> tuple[Sequence[Flavor], str | None]:
    """Newest first."""
    async with context.store.read() as tx:
        return await flavors.page(tx, limit, cursor)


async def get(context: Context, id_or_name: str) -> Flavor:
    """Raises `NotFound`."""
    async with context.store.read() as tx:
        return await _find(tx, id_or_name)


async def update(
    context: Context, caller: Caller, id_or_name: str, values: dict[str, Any], expected: int | None
) -> Flavor:
    """Change `description`, `cpu_cores` or `memory_mb` for versions made from now on. Raises `Forbidden`, `Conflict`,
    `Invalid` for a size that this machine cannot hold."""
    _check_right(caller, f'change flavor "{id_or_name[:100]}"')
    async with context.store.write() as tx:
        await flavors.take_turn(tx)
        before = await _find(tx, id_or_name)
        _check_revision(before, expected)
        after = replace(before, **values)
        if after.size != before.size:
            context.capacity.check(after.size, within=())
        await flavors.update(tx, before.id, **values)
        await _record(tx, caller, "flavor.update")
        return await _find(tx, before.id)


async def delete(context: Context, caller: Caller, id_or_name: str, expected: int | None) -> None:
    """New versions cannot be made of it; those that were go on as they are. Raises `Forbidden`, `Conflict`."""
    _check_right(caller, f'delete flavor "{id_or_name[:100]}"')
    async with context.store.write() as tx:
        await flavors.take_turn(tx)
        found = await _find(tx, id_or_name)
        _check_revision(found, expected)
        await flavors.delete(tx, found.id)
        await _record(tx, caller, "flavor.delete")


async def _find(tx: Tx, id_or_name: str) -> Flavor:
    found = await flavors.find(tx, id_or_name)
    if found is None:
        raise errors.NotFound(
            f'cannot find flavor "{id_or_name[:100]}"; `roost flavor list` (GET …/flavors) tells what there is'
        )
    return found


def _check_right(caller: Caller, doing: str) -> None:
    if not caller.is_admin:
        raise errors.Forbidden(f"cannot {doing}: flavors are for all workspaces; ask an administrator")


def _check_revision(flavor: Flavor, expected: int | None) -> None:
    if expected is not None and expected != flavor.revision:
        raise errors.Conflict(
            f'cannot change flavor "{flavor.name}": If-Match says revision {expected}, '
            f"it is at {flavor.revision}; read it again"
        )


async def _record(tx: Tx, caller: Caller, verb: str) -> None:
    await events.record_action(tx, caller.workspace_id, None, verb, caller.actor, caller.request_id)
