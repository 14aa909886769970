"""What replicas wrote."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi.responses import StreamingResponse
from roost_server.api import logs
from roost_server.domain.log import LogQuery
from roost_server.domain.runtime import Status
from support.platform import Rig
from support.waiting import PATIENCE_SECONDS

from api.envelopes import refused


async def test_logs_are_searched_by_word_stream_replica_and_time(http: httpx.AsyncClient, rig: Rig) -> None:
    config = {"runtime_server": {"env": {"ROOST_SIMULATED_FAULT": "exits_at_once"}}}
    await http.post("/runtimes?wait=30", json={"name": "agent", "config": config})
    (replica,) = await rig.replicas("agent")

    async def texts(**params: Any) -> list[str]:
        answer = await http.get("/runtimes/agent/logs", params=params)
        assert answer.status_code == 200, answer.text
        return [line["text"] for line in answer.json()["items"]]

    everything = await texts()
    assert everything[:2] == ["started the image", "exiting with 1"]
    assert set(await texts(contains="EXITING")) == {"exiting with 1"}
    assert set(await texts(stream="stderr")) == {"exiting with 1"}
    assert (await texts(replica=replica.id))[:2] == everything[:2] and await texts(replica="other") == []
    assert await texts(since="2999-01-01T00:00:00Z") == [] and await texts(until="2000-01-01T00:00:00") == []
    assert (await texts(order="desc"))[-1] == everything[0]


async def test_logs_are_paged_in_both_orders(http: httpx.AsyncClient, agent: object) -> None:
    for _ in range(4):
        await http.post("/runtimes/agent/stop?wait=30")
        await http.post("/runtimes/agent/start?wait=30")
    for order in ("asc", "desc"):
        whole = (await http.get(f"/runtimes/agent/logs?order={order}")).json()["items"]
        found, cursor = [], ""
        while cursor is not None:
            params = {"order": order, "limit": 2, **({"cursor": cursor} if cursor else {})}
            page = (await http.get("/runtimes/agent/logs", params=params)).json()
            found += page["items"]
            cursor = page["next_cursor"]
        assert found == whole and len(whole) == 5


async def test_a_follower_misses_nothing_that_is_written_before_the_answer_begins(
    http: httpx.AsyncClient, rig: Rig, agent: object
) -> None:
    answer = await logs.read_logs("agent", rig.platform.api(), rig.caller, LogQuery(), follow=True)
    await http.post("/runtimes/agent/stop?wait=30")
    await http.post("/runtimes/agent/start?wait=30")
    assert "started" in await first_line(answer)


async def test_a_follower_of_what_never_wrote_hears_the_first_line(http: httpx.AsyncClient, rig: Rig) -> None:
    await rig.kill()
    await rig.create("agent")
    answer = await logs.read_logs("agent", rig.platform.api(), rig.caller, LogQuery(), follow=True)
    await rig.revive()
    await rig.until("agent", Status.ACTIVE)
    assert "started" in await first_line(answer)


async def first_line(answer: object) -> str:
    assert isinstance(answer, StreamingResponse)
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for frame in answer.body_iterator:
            if "data: " in str(frame):
                return str(frame)
    raise AssertionError("the stream ended without a line")


async def test_logs_outlive_the_stop(http: httpx.AsyncClient, agent: object) -> None:
    await http.post("/runtimes/agent/stop?wait=30")
    assert len((await http.get("/runtimes/agent/logs")).json()["items"]) == 1


@pytest.mark.parametrize("time", ["0.5", "1700000000", "2026-01-31", "yesterday", "2026-13-01T00:00:00Z"])
async def test_a_time_that_is_none_names_the_parameter(http: httpx.AsyncClient, agent: object, time: str) -> None:
    refused(await http.get(f"/runtimes/agent/logs?since={time}"), 422, "query.since")
    refused(await http.get(f"/runtimes/agent/metrics?to={time}"), 422, "query.to")
