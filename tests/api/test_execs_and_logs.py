"""Commands in replicas, and what replicas wrote."""

from typing import Any

import httpx
import pytest
from support.platform import Rig

from api.envelopes import refused


async def run(http: httpx.AsyncClient, *command: str, **more: Any) -> httpx.Response:
    return await http.post("/runtimes/agent/exec", json={"command": list(command), **more})


async def test_a_command_gives_its_code_and_output(http: httpx.AsyncClient, agent: object) -> None:
    shown = (await run(http, "echo", "hello", "wörld")).json()
    assert (shown["exit_code"], shown["stdout"], shown["stderr"]) == (0, "hello wörld\n", "")
    assert set(shown) == {
        "exit_code", "stdout", "stderr", "duration_ms", "stdout_truncated", "stderr_truncated", "timed_out",
    }  # fmt: skip
    assert (await run(http, "false")).json()["exit_code"] == 1
    assert (await run(http, "nothing-like-it")).json()["exit_code"] == 127


async def test_a_command_gets_stdin_and_environment(http: httpx.AsyncClient, agent: dict[str, Any]) -> None:
    text = "line\n🦉\0binary-ish"
    assert (await run(http, "cat", stdin=text)).json()["stdout"] == text
    env = (await run(http, "env", env={"EXTRA": "1"})).json()["stdout"]
    assert "EXTRA=1\n" in env and f"ROOST_RUNTIME_ID={agent['id']}\n" in env


async def test_output_beyond_the_limit_is_cut_and_says_so(http: httpx.AsyncClient, agent: object) -> None:
    shown = (await run(http, "echo", "0123456789", max_output_bytes=4)).json()
    assert (shown["stdout"], shown["stdout_truncated"], shown["stderr_truncated"]) == ("0123", True, False)


async def test_a_command_that_takes_too_long_is_ended(http: httpx.AsyncClient, agent: object) -> None:
    shown = (await run(http, "sleep", "600", timeout_seconds=0.05)).json()
    assert (shown["exit_code"], shown["timed_out"]) == (124, True)


async def test_a_command_runs_in_the_replica_that_is_named(http: httpx.AsyncClient) -> None:
    config = {"autoscaling": {"min_replicas": 2, "max_replicas": 2}}
    await http.post("/runtimes?wait=30", json={"name": "agent", "config": config})
    for replica in (await http.get("/runtimes/agent/replicas")).json()["items"]:
        assert f"ROOST_REPLICA_ID={replica['id']}\n" in (await run(http, "env", replica=replica["id"])).json()["stdout"]
    refused(await run(http, "true", replica="other"), 404, "replica")


async def test_nothing_runs_in_a_runtime_that_does_not(http: httpx.AsyncClient, agent: object) -> None:
    await http.post("/runtimes/agent/stop?wait=30")
    assert "stopped" in refused(await run(http, "true"), 409)["detail"]


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"command": []}, "command"),
        ({"command": [""]}, "command.0"),
        ({"command": ["a\0b"]}, "command.0"),
        ({"command": "echo hello"}, "command"),
        ({"env": {"1A": "x"}}, "env.1A"),
        ({"cwd": "relative"}, "cwd"),
        ({"timeout_seconds": 0}, "timeout_seconds"),
        ({"timeout_seconds": 3601}, "timeout_seconds"),
        ({"timeout_seconds": "5"}, "timeout_seconds"),
        ({"max_output_bytes": -1}, "max_output_bytes"),
        ({"surprise": 1}, "surprise"),
    ],
)
async def test_a_command_that_cannot_be_names_the_field(
    http: httpx.AsyncClient, agent: object, more: dict[str, Any], field: str
) -> None:
    answer = await http.post("/runtimes/agent/exec", json={"command": ["true"], **more})
    told = refused(answer, 422)
    assert any(".".join(map(str, item["loc"])).startswith(field) for item in told["errors"]), told


async def test_half_a_surrogate_pair_in_stdin_is_refused(http: httpx.AsyncClient, agent: object) -> None:
    body = '{"command": ["cat"], "stdin": "\\ud800"}'
    answer = await http.post("/runtimes/agent/exec", content=body, headers={"content-type": "application/json"})
    refused(answer, 422, "stdin")


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


async def test_logs_outlive_the_stop(http: httpx.AsyncClient, agent: object) -> None:
    await http.post("/runtimes/agent/stop?wait=30")
    assert len((await http.get("/runtimes/agent/logs")).json()["items"]) == 1
