"""Samples: what replicas used and what endpoints answered between two readings. Pure.

A replica whose use stays about the same is written down once in a while, not at every reading: two thousand idle boxes
cost next to nothing. Each sample says which span it covers, so averages stay exact. What every reading makes anew for
every replica is a plain tuple, for the same reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple
from zlib import crc32

from roost_server.domain.replica import Usage
from roost_server.domain.traffic import Counts, Key

STEADY_SECONDS = 240
"""A sample covers at most about so long, and less for some replicas, so that not all are written at once. It is less
than what older samples are summed up to."""

STANDS_SECONDS = STEADY_SECONDS + 120
"""So long a replica's last sample tells what it uses now: otherwise there would be another one."""

SAME = 0.02
"""Shares of a limit that differ by less are about the same."""


@dataclass(frozen=True)
class Origin:
    """Whose replica it is, and its limits. `scales`: its version may have more or fewer replicas."""

    runtime_id: str
    version: int
    cpu_cores: float
    memory_bytes: int
    scales: bool
    runtime: str
    workspace: str


@dataclass(frozen=True)
class UsageSample:
    """`cpu_cores` is the mean and `memory_bytes` the most of the `span_seconds` before `at` (Unix time)."""

    runtime_id: str
    at: int
    replica_id: str
    version: int
    span_seconds: int
    cpu_cores: float
    memory_bytes: int


@dataclass(frozen=True)
class TrafficSample:
    """What one version behind one endpoint answered in the `span_seconds` before `at`."""

    endpoint_id: str
    at: int
    version: int
    span_seconds: int
    requests: int
    errors: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


Level = tuple[float, float]
"""Shares of a replica's limits of CPU and memory."""


class Reading(NamedTuple):
    """`at` is Unix time."""

    at: float
    cpu_seconds: float
    memory_bytes: int


class Tracked(NamedTuple):
    """A replica as it was read last. Up to `written` its use is in samples, the last of which said `level`."""

    origin: Origin
    seen: Reading
    written: Reading
    most_memory: int
    level: Level | None = None


def usage(
    before: Mapping[str, Tracked], origins: Mapping[str, Origin], read: Mapping[str, Usage], at: float
) -> tuple[dict[str, Tracked], list[UsageSample]]:
    """What is tracked after this reading, and the samples to write. A replica's first reading is only a beginning."""
    after: dict[str, Tracked] = {}
    samples: list[UsageSample] = []
    for replica_id, used in read.items():
        now, there = Reading(at, used.cpu_seconds, used.memory_bytes), before.get(replica_id)
        if there is not None and _goes_on(there.seen, now):
            after[replica_id] = _follow(replica_id, there, now, samples)
        elif replica_id in origins:
            after[replica_id] = Tracked(origins[replica_id], now, now, now.memory_bytes)
    for replica_id, there in before.items():
        if replica_id not in after or not _goes_on(there.seen, after[replica_id].seen):
            _write(replica_id, there, there.seen, samples)
    return after, samples


def _goes_on(seen: Reading, now: Reading) -> bool:
    """Unless it was started anew, which counts from zero, or the clock was set back."""
    return now.at > seen.at and now.cpu_seconds >= seen.cpu_seconds


def _follow(replica_id: str, there: Tracked, now: Reading, samples: list[UsageSample]) -> Tracked:
    level = _level(there, now)
    most = max(there.most_memory, now.memory_bytes)
    if not _about_the_same(level, there.level):
        _write(replica_id, there, there.seen, samples)
        _write(replica_id, there._replace(written=there.seen, most_memory=now.memory_bytes), now, samples)
    elif now.at - there.written.at < _patience(replica_id):
        return Tracked(there.origin, now, there.written, most, there.level)
    else:
        _write(replica_id, there._replace(most_memory=most), now, samples)
    return Tracked(there.origin, now, now, now.memory_bytes, level)


def _about_the_same(level: Level, before: Level | None) -> bool:
    return before is not None and abs(level[0] - before[0]) < SAME and abs(level[1] - before[1]) < SAME


def _patience(replica_id: str) -> float:
    """Between half of `STEADY_SECONDS` and all of it."""
    return STEADY_SECONDS * (1 + crc32(replica_id.encode()) % 100 / 99) / 2


def _level(there: Tracked, now: Reading) -> Level:
    cores = (now.cpu_seconds - there.seen.cpu_seconds) / (now.at - there.seen.at)
    return cores / there.origin.cpu_cores, now.memory_bytes / there.origin.memory_bytes


def _write(replica_id: str, one: Tracked, until: Reading, samples: list[UsageSample]) -> None:
    """From where it was written up to last, unless there is nothing between."""
    span = until.at - one.written.at
    if span <= 0:
        return
    cores = (until.cpu_seconds - one.written.cpu_seconds) / span
    whose, at = one.origin, int(until.at)
    samples.append(
        UsageSample(whose.runtime_id, at, replica_id, whose.version, max(1, round(span)), cores, one.most_memory)
    )


def traffic(before: Mapping[Key, Counts], after: Mapping[Key, Counts], at: int, span: int) -> list[TrafficSample]:
    """One sample for each version that answered anything between the two readings."""
    found = []
    for key, counts in after.items():
        new = counts.since(before.get(key, Counts()))
        if new.requests:
            tails = (new.quantile(0.5), new.quantile(0.95), new.quantile(0.99))
            found.append(TrafficSample(key[0], at, key[1], span, new.requests, new.errors, *tails))
    return found
