"""What a runtime needs next: which replicas start and stop, which versions serve, and how it stands. Pure.

Three rules carry everything: a version gets weight only when it has the replicas for it; a replica stops only when
nothing that serves needs it; what was replaced stays ready for a while, so that going back is only a change of routes.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from roost_server.domain import standing
from roost_server.domain.endpoint import Endpoint, Weights
from roost_server.domain.replica import Replica, ReplicaStatus
from roost_server.domain.runtime import Runtime, Status, Wanted


@dataclass(frozen=True)
class Size:
    """How many replicas one version may have, and what scaling last decided (None before it did)."""

    least: int = 1
    most: int = 1
    decided: int | None = None

    @property
    def wanted(self) -> int:
        return min(self.most, max(self.least, self.decided or 0))


@dataclass(frozen=True)
class Move:
    """What an endpoint serves from now on, and what it keeps ready of before."""

    live: Weights
    live_version: int | None
    kept_version: int | None = None
    kept_until: datetime | None = None
    kept_sessions: bool = False


@dataclass(frozen=True)
class Plan:
    """`start` names a version once per replica to insert; `moves` holds only the endpoints that change; `scale` the
    versions that must be larger than decided before, to carry what they take over; `in_use` are the versions that are
    needed or kept; `look_again` is a time."""

    status: Status
    reason: str | None = None
    message: str | None = None
    start: tuple[int, ...] = ()
    stop: tuple[str, ...] = ()
    moves: dict[str, Move] = field(default_factory=dict)
    scale: dict[int, int] = field(default_factory=dict)
    in_use: frozenset[int] = frozenset()
    look_again: datetime | None = None
    gone: bool = False


@dataclass(frozen=True)
class Clock:
    """The time, and how long a replaced version is kept ready."""

    now: datetime
    keep_seconds: float


def decide(
    runtime: Runtime,
    endpoints: Sequence[Endpoint],
    sizes: Mapping[int, Size],
    replicas: Sequence[Replica],
    clock: Clock,
) -> Plan:
    """The plan. `sizes` has every version that an endpoint should serve or serves."""
    running = [endpoint for endpoint in endpoints if endpoint.wanted == Wanted.RUNNING]
    if runtime.wanted != Wanted.RUNNING or not running:
        return _wind_down(runtime, endpoints, replicas)
    counts = _counts(runtime, running, sizes)
    moves = _moves(runtime, endpoints, counts, replicas, clock)
    after = [moves.get(endpoint.id) or _as_it_is(endpoint) for endpoint in endpoints]
    needed = {version for endpoint in running for version in endpoint.shares(runtime.applied_version)}
    needed |= {version for move in after for version in move.live}
    kept = {move.kept_version for move in after if move.kept_version is not None}
    start, stop = _adjust(runtime, {version: counts[version] for version in needed}, kept, replicas)
    status, reason, message = standing.of_runtime(
        runtime,
        {endpoint.id: endpoint.shares(runtime.applied_version) for endpoint in running},
        {endpoint.id: move.live for endpoint, move in zip(endpoints, after, strict=True)},
        {version: sizes[version].least for version in needed},
        replicas,
    )
    scale = {version: counts[version] for version in needed if counts[version] != sizes[version].wanted}
    in_use = frozenset(needed | kept)
    return Plan(status, reason, message, start, stop, moves, scale, in_use, _soonest(after))


def _wind_down(runtime: Runtime, endpoints: Sequence[Endpoint], replicas: Sequence[Replica]) -> Plan:
    deleting = runtime.wanted == Wanted.DELETED
    still = Status.DELETING if deleting else Status.STOPPING
    status = still if replicas or deleting else Status.STOPPED
    stop = tuple(replica.id for replica in replicas if replica.status != ReplicaStatus.STOPPING)
    moves = {e.id: Move({}, None) for e in endpoints if e.live or e.live_version is not None or e.kept_version}
    return Plan(status, stop=stop, moves=moves, gone=deleting and not replicas)


def _counts(runtime: Runtime, running: Sequence[Endpoint], sizes: Mapping[int, Size]) -> dict[int, int]:
    """How many replicas each version is to have: its own size, and enough for the share that it is to take over.

    That is told from the others, who carry the rest: its own size may already be what it is to grow to."""
    counts = {version: size.wanted for version, size in sizes.items()}
    for endpoint in running:
        for version, weight in endpoint.shares(runtime.applied_version).items():
            has = endpoint.live.get(version, 0)
            if has < weight:
                others = sum(sizes[other].wanted for other in endpoint.live if other != version)
                enough = math.ceil(others * weight / (100 - has))
                counts[version] = max(counts[version], min(sizes[version].most, enough))
    return counts


def _moves(
    runtime: Runtime,
    endpoints: Sequence[Endpoint],
    counts: Mapping[int, int],
    replicas: Sequence[Replica],
    clock: Clock,
) -> dict[str, Move]:
    ready = Counter(replica.version for replica in replicas if replica.status == ReplicaStatus.READY)
    moves = {}
    for endpoint in endpoints:
        shares = endpoint.shares(runtime.applied_version)
        growing = [version for version, weight in shares.items() if endpoint.live.get(version, 0) < weight]
        if shares != endpoint.live and all(ready[version] >= counts[version] for version in growing):
            moves[endpoint.id] = _move(endpoint, shares, clock)
        elif endpoint.kept_until is not None and endpoint.kept_until <= clock.now:
            moves[endpoint.id] = Move(endpoint.live, endpoint.live_version)
    return moves


def _move(endpoint: Endpoint, shares: Weights, clock: Clock) -> Move:
    """To `shares`. The version that served alone before is kept when it serves no longer."""
    if not shares:
        return Move({}, None)
    replaced = endpoint.live_version
    alone = next(iter(shares)) if len(shares) == 1 else replaced
    if replaced not in endpoint.live or replaced in shares or clock.keep_seconds <= 0:
        kept = None if endpoint.kept_version in shares else endpoint.kept_version
        until, sessions = (endpoint.kept_until, endpoint.kept_sessions) if kept is not None else (None, False)
        return Move(shares, alone, kept, until, sessions)
    until = clock.now + timedelta(seconds=clock.keep_seconds)
    return Move(shares, alone, replaced, until, kept_sessions=len(endpoint.live) > 1)


def _as_it_is(endpoint: Endpoint) -> Move:
    return Move(
        endpoint.live, endpoint.live_version, endpoint.kept_version, endpoint.kept_until, endpoint.kept_sessions
    )


def _soonest(moves: Iterable[Move]) -> datetime | None:
    return min((move.kept_until for move in moves if move.kept_until is not None), default=None)


def _adjust(
    runtime: Runtime, counts: Mapping[int, int], kept: set[int], replicas: Sequence[Replica]
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Replicas of the current generation up to the counts; others go when those are ready. What is only kept has as
    many as it had: going back is to find none that still has a secret which counts no longer."""
    staying = [replica for replica in replicas if replica.status != ReplicaStatus.STOPPING]
    start: list[int] = []
    stop: list[str] = []
    for version, wanted in sorted({**_kept(runtime, kept, staying), **counts}.items()):
        of_version = [replica for replica in staying if replica.version == version]
        current = _ready_last(replica for replica in of_version if replica.generation == runtime.generation)
        older = _ready_last(replica for replica in of_version if replica.generation != runtime.generation)
        start += [version] * (wanted - len(current))
        stop += _surplus(current, wanted)
        replaced = sum(replica.status == ReplicaStatus.READY for replica in current) >= wanted
        stop += _surplus(older, 0 if replaced else wanted)
    stop += [replica.id for replica in staying if replica.version not in counts and replica.version not in kept]
    return tuple(start), tuple(stop)


def _kept(runtime: Runtime, kept: set[int], staying: Sequence[Replica]) -> dict[int, int]:
    of_one = Counter((replica.version, replica.generation == runtime.generation) for replica in staying)
    return {version: max(of_one[version, True], of_one[version, False]) for version in kept}


def _ready_last(replicas: Iterable[Replica]) -> list[Replica]:
    return sorted(replicas, key=lambda replica: replica.status == ReplicaStatus.READY)


def _surplus(replicas: Sequence[Replica], wanted: int) -> list[str]:
    return [replica.id for replica in replicas[: max(0, len(replicas) - wanted)]]
