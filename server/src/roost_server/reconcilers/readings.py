"""Readings: what the gateway counted, read once for all who ask at about the same time.

Asking Envoy costs more the more routes there are, and every canary looks every second. So one reading is under way at a
time, who comes meanwhile is given it too, and for a moment afterwards it is given again. Whoever must not be told what
was counted before some moment says which, and is given a reading that began no sooner.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from roost_server.domain import errors
from roost_server.domain.traffic import Counts, Key
from roost_server.gateway.gateway import Gateway
from roost_server.store import leases

GIVEN_AGAIN_SECONDS = 0.25
"""A quarter of the time between two looks at one canary."""


@dataclass(frozen=True)
class _Reading:
    """`ended` on the monotonic clock; `found` is the trouble when the gateway did not tell."""

    began: datetime
    ended: float
    found: Mapping[Key, Counts] | errors.Unavailable

    def serves(self, since: datetime) -> bool:
        return self.began >= since and time.monotonic() - self.ended < GIVEN_AGAIN_SECONDS


@dataclass
class Readings:
    gateway: Gateway
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _latest: _Reading | None = None

    async def traffic(self, since: datetime) -> Mapping[Key, Counts]:
        """As `Gateway.traffic`, by a reading that began at `since` or later. Raises `Unavailable`."""
        async with self._turn:
            if self._latest is None or not self._latest.serves(since):
                self._latest = await self._read()
            found = self._latest.found
        if isinstance(found, errors.Unavailable):
            raise found
        return found

    async def _read(self) -> _Reading:
        began = leases.now()
        found: Mapping[Key, Counts] | errors.Unavailable
        try:
            found = await self.gateway.traffic()
        except errors.Unavailable as error:
            found = error
        return _Reading(began, time.monotonic(), found)
