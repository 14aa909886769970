"""What callers may see of measurements: series of one runtime or endpoint, and how all runtimes do at the moment."""

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from roost_server.domain import series
from roost_server.domain.endpoint import Endpoint
from roost_server.domain.runtime import Runtime
from roost_server.domain.sample import STANDS_SECONDS, TrafficSample, UsageSample
from roost_server.domain.series import Limits, TrafficPoint, UsagePoint, Window
from roost_server.domain.version import Version
from roost_server.operations.caller import Caller
from roost_server.operations.context import Context
from roost_server.operations.finding import find, find_endpoint
from roost_server.operations.views import RuntimeView, view
from roost_server.store import endpoints, replicas, runtimes, samples, versions
from roost_server.store.store import Tx

MINUTE = 60


@dataclass(frozen=True)
class ReplicaSeries:
    replica_id: str
    version: int
    limits: Limits
    points: Sequence[UsagePoint]


@dataclass(frozen=True)
class EndpointSeries:
    """Of one version behind an endpoint."""

    endpoint: Endpoint
    version: int
    points: Sequence[TrafficPoint]


@dataclass(frozen=True)
class Series:
    window: Window
    replicas: Sequence[ReplicaSeries]
    endpoints: Sequence[EndpointSeries]


@dataclass(frozen=True)
class Figures:
    """How a runtime does: what its replicas use now, and what its endpoints answered in the last minute."""

    view: RuntimeView
    cpu_cores: float
    limits: Limits
    memory_bytes: int
    requests_per_second: float
    error_rate: float
    p95_ms: float | None


async def of_runtime(context: Context, caller: Caller, name: str, wanted: Window) -> Series:
    async with context.store.read() as tx:
        runtime = await find(tx, caller, name)
        return await _series(tx, runtime, await endpoints.of(tx, runtime.id), None, wanted)


async def of_endpoint(context: Context, caller: Caller, name: str, endpoint_name: str, wanted: Window) -> Series:
    """With the replicas of the versions that it serves, or served in that time."""
    async with context.store.read() as tx:
        runtime = await find(tx, caller, name)
        endpoint = await find_endpoint(tx, runtime, endpoint_name)
        served = endpoint.live.keys() | await samples.versions_of(tx, endpoint.id, wanted.since)
        return await _series(tx, runtime, [endpoint], served, wanted)


async def _series(
    tx: Tx, runtime: Runtime, ends: Sequence[Endpoint], of_versions: Collection[int] | None, wanted: Window
) -> Series:
    since = min(wanted.since, int(time.time()) - STANDS_SECONDS)
    used = series.by_replica(
        [
            one
            for one in await samples.usage(tx, runtime.id, since, wanted.until)
            if of_versions is None or one.version in of_versions
        ]
    )
    answered = series.by_version(
        await samples.traffic(tx, [endpoint.id for endpoint in ends], wanted.since, wanted.until)
    )
    limits = await _limits(tx, ((runtime.id, many[0].version) for many in used.values()))
    there = {replica.id for replica in await replicas.of(tx, runtime.id)}
    told = [
        _replica_series(replica_id, _until_now(many, there, wanted), limits, wanted)
        for replica_id, many in sorted(used.items())
    ]
    return Series(
        wanted,
        [one for one in told if one.points],
        [
            EndpointSeries(endpoint, version, series.traffic(many, wanted))
            for endpoint in ends
            for (endpoint_id, version), many in sorted(answered.items())
            if endpoint_id == endpoint.id
        ],
    )


def _replica_series(
    replica_id: str, many: Sequence[UsageSample], limits: Mapping[tuple[str, int], Limits], wanted: Window
) -> ReplicaSeries:
    its_limits = limits[many[0].runtime_id, many[0].version]
    return ReplicaSeries(replica_id, many[0].version, its_limits, series.usage(many, its_limits, wanted))


def _until_now(many: Sequence[UsageSample], there: Collection[str], wanted: Window) -> Sequence[UsageSample]:
    now = int(time.time())
    stands = many[-1].replica_id in there and many[-1].at > now - STANDS_SECONDS
    return series.carried_on(many, min(now, wanted.until)) if stands else many


async def _limits(tx: Tx, keys: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Limits]:
    numbers: dict[str, set[int]] = defaultdict(set)
    for runtime_id, number in keys:
        numbers[runtime_id].add(number)
    found = await versions.in_use(tx, numbers) if numbers else {}
    return {key: _limits_of(version) for key, version in found.items()}


def _limits_of(version: Version) -> Limits:
    return Limits(version.resources.cores, version.resources.memory << 20)


async def page(context: Context, caller: Caller, limit: int, cursor: str | None) -> tuple[list[Figures], str | None]:
    """Newest runtimes first."""
    async with context.store.read() as tx:
        found, next_cursor = await runtimes.page(
            tx, caller.workspace_id, statuses=(), labels={}, limit=limit, cursor=cursor
        )
        return await _figures(tx, await view(tx, caller.workspace, *found)), next_cursor


async def now(context: Context, caller: Caller, name: str) -> Figures:
    """Of one runtime."""
    async with context.store.read() as tx:
        return (await _figures(tx, await view(tx, caller.workspace, await find(tx, caller, name))))[0]


async def _figures(tx: Tx, views: Sequence[RuntimeView]) -> list[Figures]:
    ids = [one.runtime.id for one in views]
    at = int(time.time())
    there = {replica.id for replica in await replicas.of(tx, *ids)}
    last = await samples.latest(tx, ids, at - STANDS_SECONDS)
    used: dict[str, list[UsageSample]] = defaultdict(list)
    for replica_id, sample in last.items():
        if replica_id in there:
            used[sample.runtime_id].append(sample)
    limits = await _limits(tx, ((one.runtime_id, one.version) for many in used.values() for one in many))
    whose = {one.endpoint.id: one.runtime.id for runtime in views for one in runtime.endpoints}
    answered: dict[str, list[TrafficSample]] = defaultdict(list)
    for traffic in await samples.traffic(tx, whose, at - MINUTE, at):
        answered[whose[traffic.endpoint_id]].append(traffic)
    return [_figure(one, used[one.runtime.id], limits, answered[one.runtime.id]) for one in views]


def _figure(
    shown: RuntimeView,
    used: Sequence[UsageSample],
    limits: Mapping[tuple[str, int], Limits],
    answered: Sequence[TrafficSample],
) -> Figures:
    allowed = [limits[one.runtime_id, one.version] for one in used]
    requests = sum(one.requests for one in answered)
    return Figures(
        shown,
        sum(one.cpu_cores for one in used),
        Limits(sum(one.cpu_cores for one in allowed), sum(one.memory_bytes for one in allowed)),
        sum(one.memory_bytes for one in used),
        requests / MINUTE,
        sum(one.errors for one in answered) / requests if requests else 0.0,
        max((one.p95_ms for one in answered if one.p95_ms is not None), default=None),
    )
