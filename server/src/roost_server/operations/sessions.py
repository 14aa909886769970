"""Sessions stay with the version they began with, for as long as that version serves their endpoint."""

from collections.abc import Mapping, Set

from roost_server.domain import sessions as rules
from roost_server.store import sessions
from roost_server.store.sessions import Remembered
from roost_server.store.store import Store, Tx


async def assign(store: Store, endpoint_id: str, session: str, weights: Mapping[int, int], keeps: Set[int]) -> int:
    """The session's version. A new session gets one by the weights; so does one whose version neither has weight nor
    keeps its sessions. Of an endpoint that is gone nothing is remembered. Raises `Unavailable` when no version takes
    new sessions, or the database does not answer."""
    async with store.read() as tx:
        known = await sessions.find(tx, endpoint_id, session)
    stays = known is not None and (weights.get(known.version, 0) > 0 or known.version in keeps)
    if known is not None and stays and known.is_fresh:
        return known.version
    version = known.version if known is not None and stays else rules.choose(session, weights)
    async with store.write() as tx:
        return await _write(tx, endpoint_id, session, known, version)


async def _write(tx: Tx, endpoint_id: str, session: str, known: Remembered | None, version: int) -> int:
    """Of two servers that write at once the first one counts."""
    if known is None:
        settled = await sessions.remember(tx, endpoint_id, session, version)
    else:
        settled = await sessions.move(tx, endpoint_id, session, known.version, version)
    return version if settled is None else settled.version
