"""Idempotent creation: the same key and body names the object made the first time."""

from roost_server.domain import errors
from roost_server.operations.caller import Caller
from roost_server.store import idempotency
from roost_server.store.store import Tx


async def earlier(tx: Tx, caller: Caller) -> str | None:
    """Id of the object that an earlier request with this key made. Raises `Conflict` when its body differed."""
    if caller.key is None:
        return None
    found = await idempotency.find(tx, caller.workspace_id, caller.key)
    if found is None:
        return None
    fingerprint, object_id = found
    if fingerprint != caller.fingerprint:
        raise errors.Conflict("cannot use this Idempotency-Key again: it was used with another request")
    return object_id


def gone(what: str) -> errors.Conflict:
    """What the earlier request made is there no more. The key stands for it all the same, until it is forgotten: a
    request that is sent again must not make what was deleted since."""
    return errors.Conflict(f"cannot repeat this request: the {what} it created has been deleted since")


async def remember(tx: Tx, caller: Caller, object_id: str) -> None:
    if caller.key is not None:
        await idempotency.remember(tx, caller.workspace_id, caller.key, caller.fingerprint, object_id)
