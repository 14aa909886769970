"""What is measured, and what comes of it: samples, figures for Prometheus, more and fewer replicas."""

import re
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from roost_server.domain.autoscaling import Use
from roost_server.domain.replica import ReplicaSpec, Usage
from roost_server.domain.runtime import Event, Status
from roost_server.domain.sample import TrafficSample, UsageSample
from roost_server.domain.traffic import Counts, Key
from roost_server.engines.simulated import SimulatedEngine
from roost_server.gateway.simulated import SimulatedGateway
from roost_server.operations.endpoints import Change
from roost_server.reconcilers.measuring import Measuring
from roost_server.reconcilers.readings import Readings
from roost_server.reconcilers.scaling import Scaling
from roost_server.store import endpoints, runtimes, samples, scales
from support import platform
from support.platform import Rig
from support.waiting import eventually

pytestmark = pytest.mark.slow

MIB = 1 << 20
SCALING = {"autoscaling": {"min_replicas": 1, "max_replicas": 3, "cpu_utilization": 50, "memory_utilization": 75}}
ALWAYS = (0, 1 << 40)
ROUGHLY = 0.2
"""Boxes are read a moment before the clock is, and a machine may be busy between the two."""


@pytest.fixture
async def rig(tmp_path: Path, database_url: str) -> AsyncIterator[Rig]:
    """Its loops run, and measure every second."""
    async with platform.opened(tmp_path, database_url, measure_seconds=1, scale_in_seconds=1) as prepared:
        prepared.start()
        yield prepared


class Demand:
    """So many CPU cores of work for each version, shared by all boxes it has."""

    def __init__(self, rig: Rig, cores: float) -> None:
        self.cores = cores
        self._boxes = rig.engine._boxes
        rig.engine.load = self

    def __call__(self, spec: ReplicaSpec) -> tuple[float, int]:
        versions = [box.spec.env["ROOST_VERSION"] for box in self._boxes.values()]
        return self.cores / versions.count(spec.env["ROOST_VERSION"]), 64 * MIB


async def usage_of(rig: Rig, name: str) -> list[UsageSample]:
    view = await rig.view(name)
    async with rig.store.read() as tx:
        return await samples.usage(tx, view.runtime.id, *ALWAYS)


async def traffic_of(rig: Rig, name: str) -> list[TrafficSample]:
    endpoint = (await rig.endpoint(name)).endpoint
    async with rig.store.read() as tx:
        return await samples.traffic(tx, [endpoint.id], *ALWAYS)


async def scalings(rig: Rig) -> list[Event]:
    return [event for event in await rig.events("agent") if event.type == "runtime.scaled"]


async def replicas_become(rig: Rig, ready: int) -> None:
    async def so_many() -> bool:
        count = (await rig.view("agent")).replicas
        return count.ready == count.wanted == ready

    await eventually(so_many)


async def test_what_replicas_use_is_written_down(rig: Rig) -> None:
    rig.engine.load = lambda spec: (0.25, 64 * MIB)
    await rig.create("agent")
    await rig.until("agent", Status.ACTIVE)
    (replica,) = await rig.replicas("agent")
    first = (await eventually(lambda: usage_of(rig, "agent")))[0]
    assert (first.replica_id, first.version, first.memory_bytes) == (replica.id, 1, 64 * MIB)
    assert first.cpu_cores == pytest.approx(0.25, rel=ROUGHLY)


async def test_what_endpoints_answer_is_written_down_unless_it_is_nothing(rig: Rig) -> None:
    await rig.create("agent")
    endpoint = (await rig.endpoint("agent")).endpoint
    rig.gateway.counts[endpoint.id, 1] = Counts(100, 50, {5: 100})
    (first,) = await eventually(lambda: traffic_of(rig, "agent"))
    assert (first.version, first.requests, first.errors, first.p95_ms) == (1, 100, 50, 5)
    rig.gateway.counts[endpoint.id, 1] = Counts(120, 51, {5: 110, 700: 10})
    await eventually(lambda: _answered(rig, 2))
    _, second = await traffic_of(rig, "agent")
    assert (second.requests, second.errors, second.p50_ms, second.p95_ms) == (20, 1, 5, 700)


async def _answered(rig: Rig, samples: int) -> bool:
    return len(await traffic_of(rig, "agent")) == samples


async def test_a_gateway_that_does_not_answer_keeps_nothing_from_being_measured(rig: Rig) -> None:
    await rig.create("agent")
    await rig.until("agent", Status.ACTIVE)
    rig.gateway.available = False
    assert await eventually(lambda: usage_of(rig, "agent"))


class Clock(SimulatedGateway):
    """The time of the machine, which goes on by so much while the gateway is read."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.reading_takes = 1000.0, 0.0

    async def traffic(self) -> dict[Key, Counts]:
        self.now += self.reading_takes
        return await super().traffic()


class Meters(SimulatedEngine):
    """Shows what is set."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: dict[str, Usage] = {}

    async def measure(self) -> dict[str, Usage]:
        return self.shown


async def test_what_replicas_use_does_not_depend_on_how_long_the_gateway_takes_to_answer(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.create("agent")
    await rig.until("agent", Status.ACTIVE)
    await rig.kill()
    (replica,) = await rig.replicas("agent")
    clock, meters = Clock(), Meters()
    monkeypatch.setattr(time, "time", lambda: clock.now)
    measuring = Measuring(rig.store, meters, Readings(clock), 10)
    for cpu_seconds, clock.now, clock.reading_takes in ((1.0, 1000.0, 0.0), (6.0, 1010.0, 7.0), (11.0, 1020.0, 0.0)):
        meters.shown = {replica.id: Usage(cpu_seconds, MIB)}
        await measuring.measure()
    assert [one.cpu_cores for one in await usage_of(rig, "agent") if one.at < 2000] == [0.5]


async def test_measuring_outlives_a_runtime_that_is_deleted(rig: Rig) -> None:
    await rig.create("agent")
    await rig.create("gone")
    await rig.until("gone", Status.ACTIVE)
    rig.gateway.counts[(await rig.endpoint("gone")).endpoint.id, 1] = Counts(5)
    await eventually(lambda: usage_of(rig, "gone"))
    await rig.delete("gone")
    await rig.until_gone("gone")
    rig.engine.load = lambda spec: (0.5, MIB)
    await eventually(lambda: _uses_more(rig))


async def _uses_more(rig: Rig) -> bool:
    return any(one.cpu_cores > 0.4 for one in await usage_of(rig, "agent"))


async def test_a_version_scales_out_with_its_load_and_in_again_and_says_why(rig: Rig) -> None:
    demand = Demand(rig, 0.2)
    await rig.create("agent", **SCALING)
    await rig.until("agent", Status.ACTIVE)
    await eventually(lambda: usage_of(rig, "agent"))
    demand.cores = 1.3
    await replicas_become(rig, 3)
    (out,) = await scalings(rig)
    assert re.fullmatch(r"version 1: 1 → 3 replicas: CPU at \d+ % of its limit \(target 50 %\)", out.message), (
        out.message
    )
    assert out.data["cpu_utilization"] == pytest.approx(130, rel=ROUGHLY)
    assert {name: out.data[name] for name in ("version", "from", "to", "cpu_target", "replicas_measured")} == {
        "version": 1,
        "from": 1,
        "to": 3,
        "cpu_target": 50,
        "replicas_measured": 1,
    }
    demand.cores = 0.0
    await replicas_become(rig, 1)
    # By way of 2 when a replica is too young to be measured: it counts as fully used.
    downs = (await scalings(rig))[1:]
    assert [(down.data["from"], down.data["to"]) for down in downs] in ([(3, 1)], [(3, 2), (2, 1)])
    assert all("fewer would have done for 1 s" in down.message for down in downs)
    assert (await rig.view("agent")).runtime.status == Status.ACTIVE


async def test_a_runtime_that_may_not_scale_never_does(rig: Rig) -> None:
    Demand(rig, 5.0)
    await rig.create("agent")
    await rig.until("agent", Status.ACTIVE)
    assert len(await eventually(lambda: usage_of(rig, "agent"))) >= 1
    assert (await scalings(rig), len(await rig.replicas("agent"))) == ([], 1)


async def test_a_version_that_is_only_kept_is_not_scaled(tmp_path: Path, database_url: str) -> None:
    options: dict[str, Any] = {"measure_seconds": 1, "scale_in_seconds": 0, "rollback_seconds": 600}
    async with platform.opened(tmp_path, database_url, **options) as rig:
        rig.start()
        demand = Demand(rig, 1.3)
        await rig.create("agent", **SCALING)
        await replicas_become(rig, 3)
        await rig.update("agent", **SCALING, runtime_server={"env": {"A": "2"}})
        await eventually(lambda: _serves(rig, 2))
        demand.cores = 0.0
        await eventually(lambda: _scaled_to(rig, 2, 1))
        kept = [one for one in await rig.replicas("agent") if one.version == 1]
        assert len(kept) == 3
        assert {event.data["version"] for event in (await scalings(rig))[1:]} == {2}


async def _serves(rig: Rig, version: int) -> bool:
    return dict((await rig.endpoint("agent")).endpoint.live) == {version: 100}


async def _scaled_to(rig: Rig, version: int, replicas: int) -> bool:
    return any((event.data["version"], event.data["to"]) == (version, replicas) for event in await scalings(rig))


async def test_every_version_that_serves_scales_on_its_own(rig: Rig) -> None:
    rig.engine.load = lambda spec: (0.9 if spec.env["ROOST_VERSION"] == "2" else 0.1, MIB)
    await rig.create("agent", **SCALING)
    await rig.until("agent", Status.ACTIVE)
    await platform.versions.replace_config(
        rig.context, rig.caller, "agent", platform.config(**SCALING), None, apply=False
    )
    await platform.endpoints.update(rig.context, rig.caller, "agent", None, Change(split={1: 50, 2: 50}), None)
    await eventually(lambda: _scaled_to(rig, 2, 3))
    assert {event.data["version"] for event in await scalings(rig)} == {2}


async def test_how_large_a_version_was_is_forgotten_with_its_last_replica(rig: Rig) -> None:
    Demand(rig, 1.3)
    await rig.create("agent", **SCALING)
    await replicas_become(rig, 3)
    await rig.update("agent", **SCALING, runtime_server={"env": {"A": "2"}})
    await eventually(lambda: _serves(rig, 2))
    view = await rig.view("agent")

    async def forgotten() -> bool:
        async with rig.store.read() as tx:
            return {version for _, version in await scales.of(tx, view.runtime.id)} == {2}

    await eventually(forgotten)


async def test_nothing_is_decided_for_a_runtime_that_was_stopped_or_deleted_meanwhile(rig: Rig) -> None:
    await rig.create("agent", **SCALING)
    await rig.until("agent", Status.ACTIVE)
    await rig.kill()
    scaling = Scaling(rig.store, 1, 1)
    async with rig.store.read() as tx:
        (seen,) = await scaling._look(tx, await scaling._candidates(tx))
    decision = scaling._decide(replace(seen, uses=(Use(100, 10),)))
    runtime = (await rig.view("agent")).runtime
    endpoint = (await rig.endpoint("agent")).endpoint
    async with rig.store.write() as tx:
        await endpoints.set_live(tx, endpoint.id, {}, live_version=None)
    await scaling._write(seen, decision)
    async with rig.store.read() as tx:
        assert await scales.of(tx, runtime.id) == {}
    async with rig.store.write() as tx:
        await runtimes.delete(tx, runtime.id)
    await scaling._write(seen, decision)


async def test_prometheus_is_told_by_workspace_runtime_endpoint_and_version(rig: Rig) -> None:
    rig.engine.load = lambda spec: (0.5, 64 * MIB)
    await rig.create("agent")
    await rig.until("agent", Status.ACTIVE)
    (replica,) = await rig.replicas("agent")
    rig.gateway.counts[(await rig.endpoint("agent")).endpoint.id, 1] = Counts(4, 1, {5: 2, 300: 1, 90_000: 1})

    whose = {"workspace": "default/default", "runtime": "agent", "version": "1"}

    async def told() -> bool:
        measured = told_of("roost_replica_cpu_seconds_total", **whose, replica=replica.id)
        return bool(measured) and told_of("roost_endpoint_requests_total", **whose, endpoint="DEFAULT") == 4

    await eventually(told)
    assert told_of("roost_replica_memory_bytes", **whose, replica=replica.id) == 64 * MIB
    assert told_of("roost_replica_cpu_limit_cores", **whose, replica=replica.id) == 1
    assert told_of("roost_endpoint_errors_total", **whose, endpoint="DEFAULT") == 1
    took, where = "roost_endpoint_request_duration_seconds", {**whose, "endpoint": "DEFAULT"}
    assert [told_of(f"{took}_bucket", **where, le=le) for le in ("0.005", "0.25", "0.5", "60.0", "+Inf")] == [
        2,
        2,
        3,
        3,
        4,
    ]
    assert told_of(f"{took}_sum", **where) == pytest.approx(90.31)
    rig.gateway.counts.clear()
    await eventually(lambda: _untold(where))


def told_of(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


async def _untold(where: dict[str, str]) -> bool:
    return told_of("roost_endpoint_requests_total", **where) is None
