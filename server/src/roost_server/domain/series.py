"""Series: samples as points in equal steps of time. Pure.

A step that no sample covers has no point: the replica was not there, or nobody asked the endpoint anything.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from roost_server.domain.sample import TrafficSample, UsageSample

MOST_POINTS = 1000
USUAL_POINTS = 120


@dataclass(frozen=True)
class Window:
    """From `since` to `until` (Unix time) in steps of so many seconds, which begin at multiples of it."""

    since: int
    until: int
    step_seconds: int


def window(since: float, until: float, step_seconds: int | None) -> Window:
    """`step_seconds` is made larger when more than `MOST_POINTS` would come of it."""
    begin, end = math.floor(since), math.ceil(until)
    wanted = step_seconds or math.ceil((end - begin) / USUAL_POINTS)
    return Window(begin, end, max(1, wanted, math.ceil((end - begin) / (MOST_POINTS - 1))))


@dataclass(frozen=True)
class Limits:
    """Of one replica."""

    cpu_cores: float
    memory_bytes: int


@dataclass(frozen=True)
class UsagePoint:
    """Means of the CPU and the most of the memory in the step that begins at `at`. Utilization is in percent."""

    at: int
    cpu_cores: float
    cpu_utilization: float
    memory_bytes: int
    memory_utilization: float


@dataclass(frozen=True)
class TrafficPoint:
    """What was answered in the step that begins at `at`. `error_rate` is between 0 and 1."""

    at: int
    requests_per_second: float
    error_rate: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


@dataclass
class _Used:
    seconds: float = 0.0
    core_seconds: float = 0.0
    memory_bytes: int = 0


@dataclass
class _Answered:
    requests: float = 0.0
    errors: float = 0.0
    tails: list[tuple[float | None, float | None, float | None]] = field(default_factory=list)


def usage(samples: Sequence[UsageSample], limits: Limits, wanted: Window) -> list[UsagePoint]:
    """Of one replica, oldest first."""
    steps: dict[int, _Used] = defaultdict(_Used)
    for sample in samples:
        for at, share in _steps(sample.at, sample.span_seconds, wanted):
            used = steps[at]
            used.seconds += share * sample.span_seconds
            used.core_seconds += sample.cpu_cores * share * sample.span_seconds
            used.memory_bytes = max(used.memory_bytes, sample.memory_bytes)
    return [_usage_point(at, used, limits) for at, used in sorted(steps.items())]


def _usage_point(at: int, used: _Used, limits: Limits) -> UsagePoint:
    cores = used.core_seconds / used.seconds
    memory = 100 * used.memory_bytes / limits.memory_bytes
    return UsagePoint(at, cores, 100 * cores / limits.cpu_cores, used.memory_bytes, memory)


def traffic(samples: Sequence[TrafficSample], wanted: Window) -> list[TrafficPoint]:
    """Of one version behind one endpoint, oldest first. Quantiles are the worst of the step's samples."""
    steps: dict[int, _Answered] = defaultdict(_Answered)
    for sample in samples:
        for at, share in _steps(sample.at, sample.span_seconds, wanted):
            answered = steps[at]
            answered.requests += share * sample.requests
            answered.errors += share * sample.errors
            answered.tails.append((sample.p50_ms, sample.p95_ms, sample.p99_ms))
    return [_traffic_point(at, answered, wanted) for at, answered in sorted(steps.items())]


def _traffic_point(at: int, answered: _Answered, wanted: Window) -> TrafficPoint:
    seconds = min(at + wanted.step_seconds, wanted.until) - max(at, wanted.since)
    worst = [max((one for one in ones if one is not None), default=None) for ones in zip(*answered.tails, strict=True)]
    return TrafficPoint(at, answered.requests / seconds, answered.errors / answered.requests, *worst)


def _steps(end: int, span: int, wanted: Window) -> Iterator[tuple[int, float]]:
    """The steps that a span covers any of, each with the share of the span that falls into it."""
    begin, end, step = max(end - span, wanted.since), min(end, wanted.until), wanted.step_seconds
    at = begin - begin % step
    while at < end:
        yield at, (min(end, at + step) - max(begin, at)) / span
        at += step


def carried_on(samples: Sequence[UsageSample], until: int) -> Sequence[UsageSample]:
    """The samples of a replica that still is there: its use since the last one is about the same, or another sample
    would say so."""
    if not samples or samples[-1].at >= until:
        return samples
    last = samples[-1]
    return [*samples, replace(last, at=until, span_seconds=until - last.at)]


def by_replica(samples: Sequence[UsageSample]) -> Mapping[str, list[UsageSample]]:
    found: dict[str, list[UsageSample]] = defaultdict(list)
    for sample in samples:
        found[sample.replica_id].append(sample)
    return found


def by_version(samples: Sequence[TrafficSample]) -> Mapping[tuple[str, int], list[TrafficSample]]:
    """By endpoint and version."""
    found: dict[tuple[str, int], list[TrafficSample]] = defaultdict(list)
    for sample in samples:
        found[sample.endpoint_id, sample.version].append(sample)
    return found
