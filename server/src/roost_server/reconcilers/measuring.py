"""Measuring: every few seconds, what this server's boxes use and its gateway counted, as samples.

This is no chore: a chore is done by one server for all, but only the server whose engine has a box can measure it, and
each machine has a gateway of its own that counts the requests that came through it. So every server measures, and what
they write adds up. What was read last is kept here; it is forgotten with the process, and the first reading after a
start is only a beginning. Readings whose samples could not be written are not lost: the next ones cover that time too.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from roost_server.domain import errors, sample
from roost_server.domain.replica import Usage
from roost_server.domain.sample import Origin, Tracked, TrafficSample
from roost_server.domain.traffic import Counts, Key
from roost_server.engines.engine import Engine, Measures
from roost_server.reconcilers.metrics import MEASURED
from roost_server.reconcilers.readings import Readings
from roost_server.store import chores, leases, places, samples
from roost_server.store.store import Store

log = structlog.get_logger()


@dataclass
class Measuring:
    store: Store
    engine: Engine
    readings: Readings
    every_seconds: float
    _tracked: dict[str, Tracked] = field(default_factory=dict)
    _counts: tuple[float, Mapping[Key, Counts]] | None = None
    _ends: dict[str, places.End] = field(default_factory=dict)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.measure()
            except errors.Unavailable as error:
                log.warning("cannot measure now", error=error.message, detail=error.detail)
            except Exception:
                log.exception("cannot measure")
            await asyncio.sleep(self.every_seconds)

    async def measure(self) -> None:
        """One reading of everything. The gateway may take long to answer, so each half has its own time."""
        used = await self.engine.measure() if isinstance(self.engine, Measures) else {}
        used_at = time.time()
        counts = await self._count()
        counted_at = time.time()
        origins = await self._learn(used, counts)
        tracked, usage = sample.usage(self._tracked, origins, used, used_at)
        traffic = self._traffic(counts, counted_at)
        scaling = any(one.origin.scales for one in tracked.values())
        if usage or traffic or scaling:
            async with self.store.write() as tx:
                await samples.insert(tx, usage, traffic)
                if scaling:
                    await chores.scale(tx)
        self._tracked = tracked
        if counts is not None:
            self._counts = (counted_at, counts)
        MEASURED.set(tracked, counts, self._ends)

    async def _count(self) -> Mapping[Key, Counts] | None:
        """A gateway that does not answer does not keep boxes from being measured."""
        try:
            return await self.readings.traffic(leases.now())
        except errors.Unavailable as error:
            log.warning("cannot read the gateway's counts", error=error.message, detail=error.detail)
            return None

    async def _learn(self, used: Mapping[str, Usage], counts: Mapping[Key, Counts] | None) -> dict[str, Origin]:
        """Whose the replicas are that were not seen before, and the names of new endpoints. They never change."""
        replicas = used.keys() - self._tracked.keys()
        ends = {endpoint_id for endpoint_id, _ in counts or ()}
        unnamed = ends - self._ends.keys()
        known = {replica_id: one.origin for replica_id, one in self._tracked.items()}
        if replicas or unnamed:
            async with self.store.read() as tx:
                known |= await places.origins(tx, replicas)
                self._ends |= await places.ends(tx, unnamed)
        if counts is not None:
            self._ends = {endpoint_id: end for endpoint_id, end in self._ends.items() if endpoint_id in ends}
        return known

    def _traffic(self, counts: Mapping[Key, Counts] | None, now: float) -> list[TrafficSample]:
        if counts is None or self._counts is None:
            return []
        then, before = self._counts
        return sample.traffic(before, counts, int(now), max(1, round(now - then)))
