"""What was measured, over HTTP."""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from roost_server.domain.canary import Terms
from roost_server.domain.sample import TrafficSample, UsageSample
from roost_server.operations import canaries, versions
from roost_server.operations.endpoints import Change, update
from roost_server.store import samples, scales
from roost_server.store.scales import Scale
from support import platform
from support.platform import Rig
from support.waiting import eventually

from api.envelopes import refused

MIB = 1 << 20


@pytest.fixture
async def rig(tmp_path: Path, database_url: str) -> AsyncIterator[Rig]:
    """Its loops run, and measure so seldom that there are only the samples of the test."""
    async with platform.opened(tmp_path, database_url, measure_seconds=60) as prepared:
        prepared.start()
        yield prepared


async def write(rig: Rig, usage: list[UsageSample], traffic: list[TrafficSample]) -> None:
    async with rig.store.write() as tx:
        await samples.insert(tx, usage, traffic)


def used(agent: dict[str, Any], at: int, cores: float = 0.25, **other: Any) -> UsageSample:
    values = {"replica_id": "gone", "version": 1, "span_seconds": 10, "memory_bytes": 256 * MIB, **other}
    return UsageSample(runtime_id=agent["id"], at=at, cpu_cores=cores, **values)


def answered(agent: dict[str, Any], at: int, version: int = 1, **other: Any) -> TrafficSample:
    values = {"span_seconds": 10, "requests": 20, "errors": 5, "p50_ms": 1.0, "p95_ms": 2.0, "p99_ms": 3.0, **other}
    return TrafficSample(endpoint_id=agent["endpoints"][0]["id"], at=at, version=version, **values)


def stamp(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


async def read(http: httpx.AsyncClient, path: str = "/runtimes/agent/metrics", **params: Any) -> Any:
    answer = await http.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_series_tell_what_replicas_used_and_endpoints_answered(
    http: httpx.AsyncClient, rig: Rig, agent: dict[str, Any]
) -> None:
    now = int(time.time()) // 60 * 60 - 600
    await write(rig, [used(agent, now + 10), used(agent, now + 20, 0.75)], [answered(agent, now + 10)])
    found = await read(http, **{"from": stamp(now), "to": stamp(now + 60), "step_seconds": 60})
    assert (found["since"], found["until"], found["step_seconds"]) == (stamp(now), stamp(now + 60), 60)
    (replica,) = found["replicas"]
    assert replica == {
        "replica_id": "gone",
        "version": 1,
        "cpu_limit_cores": 1,
        "memory_limit_bytes": 1024 * MIB,
        "points": [
            {
                "at": stamp(now),
                "cpu_cores": 0.5,
                "cpu_utilization": 50,
                "memory_bytes": 256 * MIB,
                "memory_utilization": 25,
            }
        ],
    }
    (endpoint,) = found["endpoints"]
    assert (endpoint["endpoint"], endpoint["endpoint_id"], endpoint["version"]) == (
        "DEFAULT",
        answered(agent, 0).endpoint_id,
        1,
    )
    assert endpoint["points"] == [
        {
            "at": stamp(now),
            "requests_per_second": round(20 / 60, 4),
            "error_rate": 0.25,
            "p50_ms": 1,
            "p95_ms": 2,
            "p99_ms": 3,
        }
    ]


async def test_an_endpoint_has_its_own_versions_replicas(
    http: httpx.AsyncClient, rig: Rig, agent: dict[str, Any]
) -> None:
    now = int(time.time())
    await http.put("/runtimes/agent/config?apply=next_start", json={"config": {}})
    second = used(agent, now - 10, replica_id="other", version=2)
    await write(rig, [used(agent, now - 10), second], [answered(agent, now - 10)])
    assert len((await read(http))["replicas"]) == 2
    found = await read(http, "/runtimes/agent/endpoints/DEFAULT/metrics")
    assert ([one["replica_id"] for one in found["replicas"]], len(found["endpoints"])) == (["gone"], 1)
    await write(rig, [], [answered(agent, now - 20, version=2)])
    found = await read(http, "/runtimes/agent/endpoints/DEFAULT/metrics")
    assert {one["replica_id"] for one in found["replicas"]} == {"gone", "other"}


async def test_a_replica_that_is_there_goes_on_as_it_was_measured_last(
    http: httpx.AsyncClient, rig: Rig, agent: dict[str, Any]
) -> None:
    (replica,) = await rig.replicas("agent")
    now = int(time.time())
    at = now - 100
    await write(rig, [used(agent, at, replica_id=replica.id), used(agent, at)], [])
    until = {"from": stamp(now - 300), "to": stamp(now), "step_seconds": 10}
    ends = {one["replica_id"]: one["points"][-1]["at"] for one in (await read(http, **until))["replicas"]}
    assert ends[replica.id] > stamp(now - 15)
    assert ends["gone"] <= stamp(at)
    last_minute = (await read(http, **{**until, "from": stamp(now - 60)}))["replicas"]
    assert [one["replica_id"] for one in last_minute] == [replica.id]


@pytest.mark.parametrize(
    ("params", "steps"),
    [
        ({}, {30, 31}),
        ({"step_seconds": 1}, {4}),
        ({"step_seconds": 60}, {60}),
        ({"from": "2000-01-01T00:00:00Z", "to": "2001-01-01T00:00:00Z", "step_seconds": 1}, {31_655}),
    ],
)
async def test_there_are_never_more_than_a_thousand_points(
    http: httpx.AsyncClient, agent: dict[str, Any], params: dict[str, Any], steps: set[int]
) -> None:
    assert (await read(http, **params))["step_seconds"] in steps


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "from"),
        ({"from": "yesterday"}, "from"),
        ({"step_seconds": 0}, "step_seconds"),
        ({"from": "9999-12-31T23:59:59-14:00"}, "from"),
    ],
)
async def test_a_time_that_makes_no_sense_is_told(
    http: httpx.AsyncClient, agent: dict[str, Any], params: dict[str, Any], field: str
) -> None:
    refused(await http.get("/runtimes/agent/metrics", params=params), 422, f"query.{field}")


async def test_what_is_unknown_is_not_found(http: httpx.AsyncClient, agent: dict[str, Any]) -> None:
    for path in (
        "/runtimes/other/metrics",
        "/runtimes/agent/endpoints/other/metrics",
        "/runtimes/agent/endpoints/x/logs",
    ):
        refused(await http.get(path), 404)


async def test_all_runtimes_are_told_at_a_glance(http: httpx.AsyncClient, rig: Rig, agent: dict[str, Any]) -> None:
    await rig.create("other")
    (replica,) = await rig.replicas("agent")
    now = int(time.time())
    usage = [used(agent, now - 1, replica_id=replica.id), used(agent, now - 5, 0.5)]
    await write(rig, usage, [answered(agent, now - 1, requests=100), answered(agent, now - 5, requests=20)])
    other, first = (await read(http, "/metrics"))["items"]
    assert first == {
        "id": agent["id"],
        "name": "agent",
        "status": "active",
        "replicas": {"wanted": 1, "ready": 1},
        "cpu_cores": 0.25,
        "cpu_limit_cores": 1,
        "memory_bytes": 256 * MIB,
        "memory_limit_bytes": 1024 * MIB,
        "requests_per_second": 2,
        "error_rate": round(10 / 120, 4),
        "p95_ms": 2,
    }
    assert (other["name"], other["cpu_cores"], other["requests_per_second"], other["p95_ms"]) == ("other", 0, 0, None)
    page = await read(http, "/metrics", limit=1)
    assert [one["name"] for one in page["items"]] == ["other"] and page["next_cursor"]


async def test_prometheus_is_told_of_replicas_scaling_and_canaries(
    http: httpx.AsyncClient, rig: Rig, agent: dict[str, Any]
) -> None:
    await versions.replace_config(rig.context, rig.caller, "agent", platform.config(), None, apply=False)
    await canaries.start(rig.context, rig.caller, "agent", 2, None, Terms(steps=(25, 100), interval_seconds=3600))
    async with rig.store.write() as tx:
        await scales.put(tx, Scale(agent["id"], 1, 2))

    async def told() -> bool:
        lines.clear()
        lines.extend((await http.get("http://roost.test/metrics")).text.splitlines())
        return f'roost_canary_weight{{endpoint="DEFAULT",{runtime},version="2",{workspace}}} 25.0' in lines

    lines: list[str] = []
    runtime, workspace = 'runtime="agent"', 'workspace="default/default"'
    await eventually(told)
    assert 'roost_runtimes{status="active"} 1.0' in lines or 'roost_runtimes{status="updating"} 1.0' in lines
    assert f'roost_replicas{{{runtime},status="ready",version="1",{workspace}}} 1.0' in lines
    assert any(line.startswith(f'roost_autoscale_replicas{{{runtime},version="1",{workspace}}}') for line in lines)


async def test_logs_of_an_endpoint_are_those_of_the_versions_it_served(
    http: httpx.AsyncClient, rig: Rig, agent: dict[str, Any]
) -> None:
    (first,) = await rig.replicas("agent")
    await http.post("/runtimes/agent/endpoints?wait=30", json={"name": "old", "version": 1})
    await http.put("/runtimes/agent/config?wait=30", json={"config": {}})
    second = next(one for one in await rig.replicas("agent") if one.version == 2)

    async def writers(endpoint: str, **params: Any) -> set[str]:
        found = await read(http, f"/runtimes/agent/endpoints/{endpoint}/logs", **params)
        return {line["replica_id"] for line in found["items"]}

    assert await writers("old") == {first.id}
    assert await writers("DEFAULT") == {first.id, second.id}
    assert await writers("DEFAULT", replica=second.id) == {second.id}
    assert await writers("old", replica=second.id) == set()
    await update(rig.context, rig.caller, "agent", "old", Change(version=2), None)
    await eventually(lambda: _only(rig, second.id))
    assert await writers("old") == {first.id, second.id}


async def _only(rig: Rig, replica_id: str) -> bool:
    return [one.id for one in await rig.replicas("agent")] == [replica_id]
