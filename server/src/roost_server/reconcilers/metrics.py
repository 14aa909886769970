"""What the reconcilers count, for Prometheus."""

from prometheus_client import Counter, Histogram

START_PHASES = Histogram(
    "roost_replica_start_phase_seconds",
    "How long each phase of a replica's start took.",
    ["phase"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300),
)
REPLICA_FAILURES = Counter("roost_replica_failures_total", "Replicas that ended or could not start.", ["reason"])
