"""Commands in replicas."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from support.platform import Rig

from api.conftest import client, shared_rig
from api.envelopes import refused

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path) -> AsyncIterator[Rig]:
    """One for all: commands leave nothing behind."""
    async with shared_rig(tmp_path_factory.mktemp("rig"), migrated_file) as prepared:
        yield prepared


@pytest_asyncio.fixture(loop_scope="module")
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client(app) as opened:
        yield opened


async def run(http: httpx.AsyncClient, *command: str, **more: Any) -> httpx.Response:
    return await http.post("/runtimes/agent/exec", json={"command": list(command), **more})


async def test_a_command_gives_its_code_and_output(http: httpx.AsyncClient) -> None:
    shown = (await run(http, "echo", "hello", "wörld")).json()
    assert (shown["exit_code"], shown["stdout"], shown["stderr"]) == (0, "hello wörld\n", "")
    assert set(shown) == {
        "exit_code", "stdout", "stderr", "duration_ms", "stdout_truncated", "stderr_truncated", "timed_out", "signal",
    }  # fmt: skip
    assert (await run(http, "false")).json()["exit_code"] == 1
    assert (await run(http, "nothing-like-it")).json()["exit_code"] == 127


async def test_a_command_gets_stdin_and_environment(http: httpx.AsyncClient) -> None:
    agent = (await http.get("/runtimes/agent")).json()
    text = "line\n🦉\0binary-ish"
    assert (await run(http, "cat", stdin=text)).json()["stdout"] == text
    env = (await run(http, "env", env={"EXTRA": "1"})).json()["stdout"]
    assert "EXTRA=1\n" in env and f"ROOST_RUNTIME_ID={agent['id']}\n" in env


async def test_output_beyond_the_limit_is_cut_and_says_so(http: httpx.AsyncClient) -> None:
    shown = (await run(http, "echo", "0123456789", max_output_bytes=4)).json()
    assert (shown["stdout"], shown["stdout_truncated"], shown["stderr_truncated"]) == ("0123", True, False)


async def test_a_command_that_takes_too_long_is_ended(http: httpx.AsyncClient) -> None:
    shown = (await run(http, "sleep", "600", timeout_seconds=0.05)).json()
    assert (shown["exit_code"], shown["timed_out"], shown["signal"]) == (124, True, None)


async def test_a_command_that_a_signal_ended_says_which(http: httpx.AsyncClient) -> None:
    shown = (await run(http, "kill", "-15")).json()
    assert (shown["exit_code"], shown["timed_out"], shown["signal"]) == (143, False, 15)


async def test_a_command_runs_in_the_replica_that_is_named(http: httpx.AsyncClient) -> None:
    config = {"autoscaling": {"min_replicas": 2, "max_replicas": 2}}
    await http.post("/runtimes?wait=30", json={"name": "pair", "config": config})
    for replica in (await http.get("/runtimes/pair/replicas")).json()["items"]:
        body = {"command": ["env"], "replica": replica["id"]}
        answer = await http.post("/runtimes/pair/exec", json=body)
        assert f"ROOST_REPLICA_ID={replica['id']}\n" in answer.json()["stdout"]
    refused(await run(http, "true", replica="other"), 404, "replica")


async def test_nothing_runs_in_a_runtime_that_does_not(http: httpx.AsyncClient) -> None:
    await http.post("/runtimes", json={"name": "stopped"})
    await http.post("/runtimes/stopped/stop?wait=30")
    assert "stopped" in refused(await http.post("/runtimes/stopped/exec", json={"command": ["true"]}), 409)["detail"]


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
    http: httpx.AsyncClient, more: dict[str, Any], field: str
) -> None:
    answer = await http.post("/runtimes/agent/exec", json={"command": ["true"], **more})
    told = refused(answer, 422)
    assert any(".".join(map(str, item["loc"])).startswith(field) for item in told["errors"]), told


async def test_half_a_surrogate_pair_in_stdin_is_refused(http: httpx.AsyncClient) -> None:
    body = '{"command": ["cat"], "stdin": "\\ud800"}'
    answer = await http.post("/runtimes/agent/exec", content=body, headers={"content-type": "application/json"})
    refused(answer, 422, "stdin")
