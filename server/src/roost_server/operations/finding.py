"""What every operation on a runtime begins and ends with: find it, check that it may change, write down who asked."""

from roost_server.domain import errors
from roost_server.domain.endpoint import Endpoint
from roost_server.domain.runtime import Runtime, Wanted
from roost_server.operations.caller import Caller
from roost_server.store import endpoints, events, runtimes
from roost_server.store.store import Tx


async def find(tx: Tx, caller: Caller, id_or_name: str, *, to_change: bool = False) -> Runtime:
    """Raises `NotFound`."""
    runtime = await runtimes.find(tx, caller.workspace_id, id_or_name, to_change=to_change)
    if runtime is None:
        raise errors.NotFound(f'cannot find runtime "{id_or_name[:100]}"')
    return runtime


async def find_endpoint(tx: Tx, runtime: Runtime, id_or_name: str | None) -> Endpoint:
    """By id or name; the default one when None. Raises `NotFound`."""
    for endpoint in await endpoints.of(tx, runtime.id):
        if endpoint.is_default if id_or_name is None else id_or_name in (endpoint.id, endpoint.name):
            return endpoint
    raise errors.NotFound(f'cannot find endpoint "{(id_or_name or "")[:100]}" of runtime "{runtime.name}"')


def check_revision(row: Runtime | Endpoint, expected: int | None) -> None:
    """Raises `Conflict` when the caller has seen an older revision."""
    if expected is not None and expected != row.revision:
        kind = "runtime" if isinstance(row, Runtime) else "endpoint"
        raise errors.Conflict(
            f'cannot change {kind} "{row.name}": If-Match says revision {expected}, '
            f"it is at {row.revision}; read it again"
        )


def refuse_when_deleting(runtime: Runtime) -> None:
    if runtime.wanted == Wanted.DELETED:
        raise errors.Conflict(f'cannot change runtime "{runtime.name}": it is being deleted')


async def record(tx: Tx, caller: Caller, runtime: Runtime, verb: str) -> None:
    await events.record_action(tx, caller.workspace_id, runtime.id, verb, caller.actor, caller.request_id)
