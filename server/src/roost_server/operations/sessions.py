"""Sessions stay with the version they began with, for as long as that version serves their endpoint.

What is decided while versions share an endpoint's traffic is kept in the store. With which version a session was while
that served alone is only told (`note`) and kept in memory: every request could be such a session, and only few of them
are ever asked for.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Set
from datetime import datetime, timedelta
from typing import NamedTuple

from roost_server.domain import sessions as rules
from roost_server.store import sessions
from roost_server.store.leases import now
from roost_server.store.sessions import TOUCHED_EVERY, Remembered
from roost_server.store.store import Store, Tx

TOLD_MAX = 100_000
"""About 300 bytes each."""

ANSWERS_COUNT_FOR = timedelta(hours=1)
"""For so long the gateway goes by an answer without asking again (`gateway/resources/sticky.lua`)."""


class Told(NamedTuple):
    version: int
    at: datetime

    def outdates(self, known: Remembered) -> bool:
        """Whether nobody can go by `known` any more that was there when this was told. Before that the store counts: a
        version may serve alone for a moment because the other one has no ready replica."""
        return self.at > known.seen_at + TOUCHED_EVERY + ANSWERS_COUNT_FOR


class ToldSessions:
    """The sessions that were told last, at most `most` of them."""

    def __init__(self, most: int = TOLD_MAX) -> None:
        self._most = most
        self._told: OrderedDict[bytes, Told] = OrderedDict()

    def put(self, endpoint_id: str, session: str, version: int) -> None:
        key = _digest(endpoint_id, session)
        self._told[key] = Told(version, now())
        self._told.move_to_end(key)
        if len(self._told) > self._most:
            self._told.popitem(last=False)

    def get(self, endpoint_id: str, session: str) -> Told | None:
        """Using it keeps it."""
        key = _digest(endpoint_id, session)
        if key in self._told:
            self._told.move_to_end(key)
        return self._told.get(key)


class Sessions:
    """Satisfies the gateway's `Keeper`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._told = ToldSessions()

    def note(self, endpoint_id: str, session: str, version: int) -> None:
        """The session was served by this version, which served the endpoint alone."""
        self._told.put(endpoint_id, session, version)

    async def assign(self, endpoint_id: str, session: str, weights: Mapping[int, int], keeps: Set[int]) -> int:
        """The session's version. A new session gets one by the weights; so does one whose version neither has weight
        nor keeps its sessions. Of an endpoint that is gone nothing is remembered. Raises `Unavailable` when no version
        takes new sessions, or the database does not answer."""
        async with self._store.read() as tx:
            known = await sessions.find(tx, endpoint_id, session)
        serving = {version for version, weight in weights.items() if weight > 0} | keeps
        began = began_with(known, self._told.get(endpoint_id, session), serving)
        if known is not None and known.version == began and known.is_fresh:
            return known.version
        version = rules.choose(session, weights) if began is None else began
        async with self._store.write() as tx:
            return await _write(tx, endpoint_id, session, known, version)


def began_with(known: Remembered | None, told: Told | None, serving: Set[int]) -> int | None:
    """The version of a session, if one that serves is known: what is stored goes before what was told."""
    sources = [known, told]
    if known is not None and told is not None and told.outdates(known):
        sources.reverse()
    return next((each.version for each in sources if each is not None and each.version in serving), None)


def _digest(endpoint_id: str, session: str) -> bytes:
    return hashlib.blake2b(f"{endpoint_id}/{session}".encode("utf-8", "surrogatepass"), digest_size=16).digest()


async def _write(tx: Tx, endpoint_id: str, session: str, known: Remembered | None, version: int) -> int:
    """Of two servers that write at once the first one counts."""
    if known is None:
        settled = await sessions.remember(tx, endpoint_id, session, version)
    else:
        settled = await sessions.move(tx, endpoint_id, session, known.version, version)
    return version if settled is None else settled.version
