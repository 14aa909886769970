"""Scaling: after each measuring, decide how many replicas the versions that serve should have, and write that down.

The runtimes reconciler does the rest. Versions that are only kept ready, or that have no ready replica yet, are left
alone: what they take over is sized when they take it over.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from roost_server.domain import autoscaling
from roost_server.domain.autoscaling import Clock, Decision, Standing, Use
from roost_server.domain.replica import Replica, ReplicaStatus
from roost_server.domain.sample import STANDS_SECONDS, UsageSample
from roost_server.domain.version import Version
from roost_server.reconcilers.metrics import SCALINGS
from roost_server.store import endpoints, events, leases, replicas, samples, scales, tables, versions
from roost_server.store.scales import Scale
from roost_server.store.store import Store, Tx

Key = tuple[str, int]
"""A runtime's id and a version."""


@dataclass
class Scaling:
    """`measure_seconds`: what a replica used in its latest reading began at most twice so long ago."""

    store: Store
    measure_seconds: float
    scale_in_seconds: float
    _known: dict[Key, Version | None] = field(default_factory=dict)

    async def scale(self) -> None:
        """Decide once for every version that may scale."""
        async with self.store.read() as tx:
            candidates = await self._candidates(tx)
            seen = await self._look(tx, candidates) if candidates else []
        for one in seen:
            decision = self._decide(one)
            if _changes(decision, one):
                await self._write(one, decision)

    async def _candidates(self, tx: Tx) -> dict[Key, Version]:
        """Versions with a ready replica that may have more or fewer. Versions never change, so each is read once."""
        ready = await replicas.versions_ready(tx)
        missing: dict[str, set[int]] = {}
        for runtime_id, number in ready - self._known.keys():
            missing.setdefault(runtime_id, set()).add(number)
        found = await versions.in_use(tx, missing) if missing else {}
        self._known |= {key: version if _may_scale(version) else None for key, version in found.items()}
        self._known = {key: version for key, version in self._known.items() if key in ready}
        return {key: version for key, version in self._known.items() if version is not None}

    async def _look(self, tx: Tx, candidates: Mapping[Key, Version]) -> list["Seen"]:
        ids = {runtime_id for runtime_id, _ in candidates}
        served = {(one.runtime_id, version) for one in await endpoints.of(tx, *ids) for version in one.live}
        decided = await scales.of(tx, *ids)
        last = await samples.latest(tx, ids, int(time.time()) - STANDS_SECONDS)
        boxes: dict[Key, list[Replica]] = defaultdict(list)
        for box in await replicas.of(tx, *ids):
            if box.status != ReplicaStatus.STOPPING:
                boxes[box.runtime_id, box.version].append(box)
        ready_before = leases.now() - timedelta(seconds=2 * self.measure_seconds)
        return [
            Seen(version, decided.get(key), tuple(_uses(version, boxes[key], last, ready_before)))
            for key, version in candidates.items()
            if key in served
        ]

    def _decide(self, seen: "Seen") -> Decision:
        clock = Clock(leases.now(), self.scale_in_seconds)
        return autoscaling.decide(seen.version.config.autoscaling, seen.uses, seen.standing, clock)

    async def _write(self, seen: "Seen", decision: Decision) -> None:
        """Unless somebody else decided meanwhile, or it serves no longer. Whoever writes locks the runtime first."""
        runtime_id, number, to = seen.version.runtime_id, seen.version.number, decision.standing
        async with self.store.write() as tx:
            await leases.wake(tx, tables.runtimes, runtime_id)
            if all(number not in endpoint.live for endpoint in await endpoints.of(tx, runtime_id)):
                return
            if (await scales.of(tx, runtime_id)).get((runtime_id, number)) != seen.scale:
                return
            await scales.put(tx, Scale(runtime_id, number, to.replicas, to.low_since, to.low_most))
            if to.replicas != seen.standing.replicas:
                await self._tell(tx, seen, decision)

    async def _tell(self, tx: Tx, seen: "Seen", decision: Decision) -> None:
        scaling, number, before = seen.version.config.autoscaling, seen.version.number, seen.standing.replicas
        message = autoscaling.explain(decision, scaling, number, before, self.scale_in_seconds)
        data = autoscaling.document(decision, scaling, number, before)
        await events.record(tx, seen.version.runtime_id, "runtime.scaled", message, data=data)
        SCALINGS.labels("out" if decision.standing.replicas > before else "in").inc()


@dataclass(frozen=True)
class Seen:
    """One version: what was decided before (None: nothing yet) and what its replicas use."""

    version: Version
    scale: Scale | None
    uses: tuple[Use | None, ...]

    @property
    def standing(self) -> Standing:
        if self.scale is None:
            return Standing(self.version.config.autoscaling.min_replicas)
        return Standing(self.scale.replicas, self.scale.low_since, self.scale.low_most)


def _may_scale(version: Version) -> bool:
    scaling = version.config.autoscaling
    return scaling.max_replicas > scaling.min_replicas


def _changes(decision: Decision, seen: Seen) -> bool:
    return decision.standing != seen.standing


def _uses(
    version: Version, boxes: Sequence[Replica], last: Mapping[str, UsageSample], ready_before: datetime
) -> Iterator[Use | None]:
    """One a replica. What it uses while it starts says nothing of its requests, so that counts as no sample."""
    size = version.resources
    for box in boxes:
        sample = last.get(box.id)
        if sample is None or box.status != ReplicaStatus.READY or (box.ready_at or ready_before) >= ready_before:
            yield None
        else:
            yield Use(100 * sample.cpu_cores / size.cores, 100 * sample.memory_bytes / (size.memory << 20))
