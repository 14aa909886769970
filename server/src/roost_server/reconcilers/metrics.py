"""What the reconcilers count, for Prometheus.

What a server measured is told as it was read last, in totals that the boxes and the gateway keep themselves: they go on
through a restart of the server. Each server tells of its own machine. What is gone is told no longer.
"""

from collections.abc import Iterable, Mapping

from prometheus_client import REGISTRY, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from roost_server.domain.sample import Tracked
from roost_server.domain.traffic import Counts, Key
from roost_server.store.places import End

START_PHASES = Histogram(
    "roost_replica_start_phase_seconds",
    "How long each phase of a replica's start took.",
    ["phase"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300),
)
REPLICA_FAILURES = Counter("roost_replica_failures_total", "Replicas that ended or could not start.", ["reason"])
SCALINGS = Counter(
    "roost_autoscale_decisions_total", "Decisions to have more (out) or fewer (in) replicas.", ["direction"]
)

BUCKETS_MS = (5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000)


class Measured:
    """A Prometheus collector over the last reading."""

    def __init__(self) -> None:
        self._tracked: Mapping[str, Tracked] = {}
        self._counts: Mapping[Key, Counts] = {}
        self._ends: Mapping[str, End] = {}

    def set(self, tracked: Mapping[str, Tracked], counts: Mapping[Key, Counts] | None, ends: Mapping[str, End]) -> None:
        """Replace the reading before. `counts` None: the gateway did not answer, its last ones stay."""
        self._tracked, self._ends = tracked, ends
        self._counts = self._counts if counts is None else counts

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        yield from _replicas(self._tracked)
        yield from _endpoints(self._counts, self._ends)


def _replicas(tracked: Mapping[str, Tracked]) -> list[Metric]:
    labels = ["workspace", "runtime", "version", "replica"]
    cpu = CounterMetricFamily("roost_replica_cpu_seconds", "CPU time since the replica's start.", labels=labels)
    cores = GaugeMetricFamily("roost_replica_cpu_limit_cores", "CPU cores it may use.", labels=labels)
    memory = GaugeMetricFamily("roost_replica_memory_bytes", "Memory without reclaimable cache.", labels=labels)
    most = GaugeMetricFamily("roost_replica_memory_limit_bytes", "Memory it may use.", labels=labels)
    for replica_id, one in tracked.items():
        whose = [one.origin.workspace, one.origin.runtime, str(one.origin.version), replica_id]
        cpu.add_metric(whose, one.seen.cpu_seconds)
        cores.add_metric(whose, one.origin.cpu_cores)
        memory.add_metric(whose, one.seen.memory_bytes)
        most.add_metric(whose, one.origin.memory_bytes)
    return [cpu, cores, memory, most]


def _endpoints(counts: Mapping[Key, Counts], ends: Mapping[str, End]) -> list[Metric]:
    labels = ["workspace", "runtime", "endpoint", "version"]
    requests = CounterMetricFamily("roost_endpoint_requests", "Requests that were answered.", labels=labels)
    errors = CounterMetricFamily("roost_endpoint_errors", "Those answered with 5xx, or not at all.", labels=labels)
    took = HistogramMetricFamily(
        "roost_endpoint_request_duration_seconds",
        "How long they took; streams are not counted before they end.",
        labels=labels,
    )
    for (endpoint_id, version), counted in counts.items():
        if endpoint_id in ends:
            end = ends[endpoint_id]
            whose = [end.workspace, end.runtime, end.endpoint, str(version)]
            requests.add_metric(whose, counted.requests)
            errors.add_metric(whose, counted.errors)
            took.add_metric(whose, *_histogram(counted))
    return [requests, errors, took]


def _histogram(counts: Counts) -> tuple[list[tuple[str, float]], float]:
    """Cumulative buckets, and the sum in seconds as well as the gateway's own buckets tell it."""
    within = [(str(most / 1000), sum(n for took, n in counts.durations.items() if took <= most)) for most in BUCKETS_MS]
    total = sum(counts.durations.values())
    seconds = sum(took * count for took, count in counts.durations.items()) / 1000
    return [*within, ("+Inf", total)], seconds


MEASURED = Measured()
REGISTRY.register(MEASURED)
