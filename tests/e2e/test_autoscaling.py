"""A real agent under load gets more replicas, and gives them back; what was measured of it can be read."""

from collections.abc import Callable

import httpx
import pytest
from roost import Event, Runtime
from support.installation import Installation, until

from e2e.stories import agent, answers, traffic

pytestmark = pytest.mark.slow

CORES = 0.2
BURN = "/burn?3"
"""Keeps a core busy for three seconds after it was answered, which is more than a replica may use."""
SCALING = {"min_replicas": 1, "max_replicas": 3, "cpu_utilization": 50, "memory_utilization": 75}


def scalings(runtime: Runtime) -> tuple[list[Event], list[Event]]:
    """To more and to fewer replicas, oldest first."""
    found = [event for event in runtime.list_events() if event.type == "runtime.scaled"][::-1]
    grew = [event for event in found if event.data["to"] > event.data["from"]]
    return grew, [event for event in found if event not in grew]


def ready(runtime: Runtime) -> int:
    return runtime.refresh().replicas.ready


def test_a_runtime_scales_with_its_load_and_back(own: Callable[..., Installation]) -> None:
    roost = own(measure_seconds="1", scale_in_seconds="5").start()
    options = {**agent(cpus=CORES, config={"autoscaling": SCALING}), "memory_mb": 256}
    runtime = roost.client.runtimes.create("busy", **options)
    until(lambda: answers(runtime))
    with traffic(roost, runtime, per_second=3, path=BURN):
        until(lambda: ready(runtime) == 3, 90)
        until(lambda: len(_busy_replicas(runtime)) >= 3, 90)
    out, _ = scalings(runtime)
    assert (out[0].data["from"], out[-1].data["to"]) == (1, 3)
    assert all(event.data["cpu_utilization"] > 55 for event in out)
    assert "CPU at" in out[0].message
    until(lambda: ready(runtime) == 1 and len(runtime.list_replicas()) == 1, 90)
    _, down = scalings(runtime)
    assert down[-1].data["to"] == 1 and "fewer would have done for 5 s" in down[-1].message
    assert runtime.refresh().status == "active" and answers(runtime)
    _look_back(roost, runtime)


def _busy_replicas(runtime: Runtime) -> set[str]:
    """Those that were measured to use much of their CPU."""
    found = runtime.metrics(since="1m", step_seconds=1).replicas
    return {one.replica_id for one in found if any(point.cpu_utilization > 50 for point in one.points)}


def _look_back(roost: Installation, runtime: Runtime) -> None:
    found = runtime.metrics(since="10m", endpoint="DEFAULT")
    assert len(found.replicas) >= 3
    (version,) = found.endpoints
    assert version.version == 1 and sum(point.requests_per_second for point in version.points) > 0
    assert any(point.p95_ms for point in version.points)
    drawn = roost.cli("metrics", "busy", "--since", "10m").stdout
    assert "replicas   now " in drawn and ", most 3\n" in drawn and "requests/s" in drawn
    assert "busy" in roost.cli("top").stdout
    told = httpx.get(f"{roost.url}/metrics", timeout=60, trust_env=False).text
    where = 'endpoint="DEFAULT",runtime="busy",version="1",workspace="default/default"'
    assert f"roost_endpoint_requests_total{{{where}}}" in told
    assert 'roost_autoscale_decisions_total{direction="out"}' in told
