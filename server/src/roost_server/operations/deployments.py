"""A runtime and its latest version as one thing, for wire formats that know no configuration apart from the runtime.

Their update replaces everything at once: it makes a version, applies it, and lets the default endpoint follow the
latest again, in one transaction.
"""

from collections.abc import Callable
from dataclasses import dataclass

from roost_server.domain import errors
from roost_server.domain.access import Access
from roost_server.domain.config import RuntimeConfig
from roost_server.domain.runtime import Runtime
from roost_server.domain.version import Version
from roost_server.operations import endpoints, versions
from roost_server.operations.caller import Caller
from roost_server.operations.context import Context
from roost_server.operations.finding import find, find_endpoint, refuse_when_deleting
from roost_server.operations.views import EndpointView, RuntimeView, view
from roost_server.store import runtimes, workspaces
from roost_server.store import versions as version_rows
from roost_server.store.store import Tx


@dataclass(frozen=True)
class Deployment:
    view: RuntimeView
    version: Version

    @property
    def default(self) -> EndpointView:
        """Its default endpoint."""
        return next(one for one in self.view.endpoints if one.endpoint.is_default)


@dataclass(frozen=True)
class Replacement:
    """What an update puts in the place of what is there. `config` and `access` are given what they replace."""

    description: str
    config: Callable[[RuntimeConfig], RuntimeConfig]
    access: Callable[[Access], Access]


async def get(context: Context, caller: Caller, id_or_name: str) -> Deployment:
    """Raises `NotFound`."""
    async with context.store.read() as tx:
        return (await _complete(tx, caller, await find(tx, caller, id_or_name)))[0]


async def page(context: Context, caller: Caller, number: int, size: int) -> tuple[list[Deployment], int]:
    """Newest first; how many there are on all pages."""
    async with context.store.read() as tx:
        found, total = await runtimes.numbered_page(tx, caller.workspace_id, number, size)
        return await _complete(tx, caller, *found), total


async def page_versions(
    context: Context, caller: Caller, id_or_name: str, number: int, size: int
) -> tuple[Deployment, list[Version], int]:
    """The runtime, a page of its versions, newest first, and how many there are on all pages."""
    async with context.store.read() as tx:
        runtime = await find(tx, caller, id_or_name)
        found, total = await version_rows.numbered_page(tx, runtime.id, number, size)
        return (await _complete(tx, caller, runtime))[0], found, total


async def replace(context: Context, caller: Caller, id_or_name: str, wanted: Replacement) -> Deployment:
    """A new version, applied at once. What serves goes on until the replicas of the new one are ready.

    Raises `Conflict` while a canary is under way, `Invalid` for an image or size that cannot be had."""
    async with context.store.write() as tx:
        await workspaces.take_turn(tx, caller.workspace_id)
        runtime = await find(tx, caller, id_or_name, to_change=True)
        refuse_when_deleting(runtime)
        before = await version_rows.get(tx, runtime.id, runtime.version)
        assert before is not None
        await runtimes.update(tx, runtime, description=wanted.description)
        default = await find_endpoint(tx, runtime, None)
        config, access = _merged(wanted, before.config, default.access)
        runtime = await versions.replace_in(context, tx, caller, runtime, config, apply=True)
        change = endpoints.Change(follow=True, access=access)
        await endpoints.update_in(tx, caller, runtime, default, change)
        return (await _complete(tx, caller, await find(tx, caller, runtime.id)))[0]


def _merged(wanted: Replacement, config: RuntimeConfig, access: Access) -> tuple[RuntimeConfig, Access]:
    """What stays of before was checked by the rules of its day; what is made of it is checked by those of today."""
    try:
        return wanted.config(config), wanted.access(access)
    except ValueError as error:
        raise errors.Invalid(
            f"cannot update: what stays of the version before is not accepted any more ({error}); "
            "replace it over Roost's own API"
        ) from None


async def _complete(tx: Tx, caller: Caller, *found: Runtime) -> list[Deployment]:
    latest = await version_rows.in_use(tx, {runtime.id: {runtime.version} for runtime in found})
    views = await view(tx, caller.workspace, *found)
    return [Deployment(one, latest[one.runtime.id, one.runtime.version]) for one in views]


async def page_endpoints(
    context: Context, caller: Caller, id_or_name: str, number: int, size: int
) -> tuple[list[EndpointView], int]:
    """Oldest first; how many there are on all pages."""
    found = await endpoints.listed(context, caller, id_or_name)
    return found[(number - 1) * size :][:size], len(found)
