"""Canaries through the SDK and the command."""

import json
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from roost import AsyncRoost, CanaryFailed, ConflictError, NotFoundError, Roost, Runtime, ValidationError, WaitTimeout

from client.conftest import Command

pytestmark = pytest.mark.slow

FAULT = "ROOST_SIMULATED_FAULT"
AT_ONCE: Any = {"steps": [50, 100], "interval_seconds": 0, "min_requests": 0}
"""It needs no callers, which a simulated gateway does not have."""


@pytest.fixture
def runtime(client: Roost, name: str) -> Runtime:
    """Serves version 1; version 2 is only recorded."""
    made = client.runtimes.create(name)
    return made.put_config({}, apply="next_start")


def broken(runtime: Runtime) -> int:
    """A version that does not start; its number."""
    runtime.put_config({"runtime_server": {"env": {FAULT: "exits_at_once"}}}, apply="next_start")
    return runtime.version


def test_a_canary_is_started_and_waited_for(runtime: Runtime) -> None:
    canary = runtime.start_canary(2, **AT_ONCE)
    assert (canary.status, canary.from_version, canary.to_version) == ("running", 1, 2)
    seen: list[str] = []
    ended = canary.wait(60, on_change=lambda one: seen.append(one.status))
    assert (ended.status, ended.has_ended, ended.new.weight, seen[-1]) == ("succeeded", True, 100, "succeeded")
    assert runtime.refresh().applied_version == 2
    assert [one.id for one in runtime.list_canaries()] == [runtime.canary().id] == [canary.id]


def test_each_verb(runtime: Runtime) -> None:
    canary = runtime.start_canary(2)
    assert canary.pause().status == "paused"
    assert runtime.canary().resume().status == "running"
    assert canary.abort().status == "aborted"
    with pytest.raises(ConflictError, match="has ended"):
        canary.promote()
    with pytest.raises(CanaryFailed, match="was aborted: aborted by") as raised:
        canary.wait()
    assert raised.value.reason == "aborted"
    again = canary.retry()
    assert (again.id != canary.id, again.steps, again.endpoint) == (True, canary.steps, "DEFAULT")
    assert again.promote().wait(60).status == "succeeded"


def test_one_that_does_not_start_is_told(runtime: Runtime) -> None:
    with pytest.raises(CanaryFailed, match="was rolled back: version 3 did not start: exited with code 1") as raised:
        runtime.start_canary(broken(runtime)).wait(60)
    assert raised.value.reason == "rolled_back"
    assert "version 1 has all the traffic" in str(raised.value.hint)


def test_waiting_can_be_limited(runtime: Runtime) -> None:
    canary = runtime.start_canary(2)
    with pytest.raises(WaitTimeout, match=r"is still running at 5 % after 0\.1 s"):
        canary.wait(0.1)


def test_what_cannot_be_is_refused(runtime: Runtime) -> None:
    with pytest.raises(NotFoundError):
        runtime.canary()
    with pytest.raises(ValidationError, match="has versions 1 to 2"):
        runtime.start_canary(7)
    with pytest.raises(ValidationError, match="cannot find endpoint"):
        runtime.start_canary(2, "missing")
    runtime.start_canary(2)
    with pytest.raises(ConflictError, match="a canary of it is under way"):
        runtime.start_canary(2)


async def test_the_awaited_client_does_the_same(async_client: AsyncRoost, name: str) -> None:
    runtime = await async_client.runtimes.create(name)
    await runtime.put_config({}, apply="next_start")
    canary = await runtime.start_canary(2, **AT_ONCE)
    await canary.wait(60)
    assert [one.status async for one in runtime.list_canaries()] == ["succeeded"]
    assert (await (await runtime.canary()).refresh()).status == "succeeded"


def recorded(roost: Command, name: str, **env: str) -> None:
    """A runtime whose version 2 is only recorded."""
    assert roost("run", "--name", name).code == 0
    variables = [word for key, value in env.items() for word in ("-e", f"{key}={value}")]
    assert roost("deploy", name, *variables, "--no-apply").code == 0


def test_the_command_starts_it_and_waits(roost: Command, name: str) -> None:
    recorded(roost, name)
    terms = ("--steps", "50,100", "--interval", "0", "--min-requests", "0")
    ended = roost("canary", "start", name, "--to", "2", *terms, "--wait")
    assert (ended.code, ended.out) == (0, f"canary of {name} to version 2 succeeded: version 2 has all the traffic\n")
    assert "running at" in ended.err
    row = roost("canary", "list", name).out.splitlines()[1].split()
    assert row[1:7] == ["DEFAULT", "1", "2", "succeeded", "100", "%"]
    roost("rollback", name)
    assert roost("canary", "list", name).out.splitlines()[1].split()[4:7] == ["succeeded", "100", "%"]


def test_one_that_leaves_its_endpoint_pinned_says_so(roost: Command, name: str) -> None:
    recorded(roost, name)
    roost("endpoint", "update", name, "--version", "1")
    terms = ("--steps", "100", "--interval", "0", "--min-requests", "0")
    out = roost("canary", "start", name, "--to", "2", *terms, "--wait").out
    assert out.splitlines()[1:] == [
        "DEFAULT is pinned to version 2; to let it follow the latest again:",
        f"  roost endpoint update {name} DEFAULT --latest",
    ]


def test_ctrl_c_leaves_it_and_says_so(roost: Command, name: str, spawn: Callable[..., "subprocess.Popen[str]"]) -> None:
    recorded(roost, name)
    with spawn("canary", "start", name, "--to", "2", "--wait") as process:
        assert process.stderr is not None
        assert "running at" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert err.splitlines()[-1] == f"the canary goes on; `roost canary abort {name}` takes it back"
    assert process.returncode == 130
    assert roost("canary", "abort", name).code == 0


def test_every_option_of_start_reaches_the_canary(roost: Command, name: str) -> None:
    recorded(roost, name)
    roost("endpoint", "create", name, "beta", "--version", "1")
    ended = roost(
        *("canary", "start", name, "--to", "2", "--endpoint", "beta", "--steps", "10, 20%,100", "--interval", "30"),
        *("--max-error-rate", "0.02", "--max-p95-ratio", "2.5", "--min-requests", "7", "--json"),
    )
    told = json.loads(ended.out)
    assert (told["endpoint"], told["steps"], told["interval_seconds"]) == ("beta", [10, 20, 100], 30)
    assert (told["max_error_rate"], told["max_p95_ratio"], told["min_requests"]) == (0.02, 2.5, 7)


def test_the_command_shows_all_about_it(roost: Command, name: str) -> None:
    recorded(roost, name)
    started = roost("canary", "start", name)
    assert started.out.startswith(f"canary of {name} to version 2 is running, on the way to 5 %")
    assert f"roost canary show {name} --watch" in started.out
    shown = roost("canary", "show", name).out
    for part in (
        f"of        {name}, endpoint DEFAULT",
        "steps     [5], 25, 50, 100 %, each 60 s and 20 requests or more",
        "allowed   1 % of the requests may fail; their 95th percentile may be 1.5 times as long",
        "VERSION   WEIGHT   REQUESTS   FAILED    P95",
        "1 (old)",
        "2 (new)",
    ):
        assert part in shown, shown
    assert json.loads(roost("canary", "show", name, "--json").out)["old"]["requests"] == 0


def test_each_verb_of_the_command(roost: Command, name: str) -> None:
    recorded(roost, name)
    roost("canary", "start", name, "--to", "2")
    assert roost("canary", "pause", name).out.startswith(f"canary of {name} to version 2 is paused")
    assert roost("canary", "resume", name).out.startswith(f"canary of {name} to version 2 is running")
    assert roost("canary", "abort", name).out == f"canary of {name} to version 2 aborted by admin at 5 %\n"
    refused = roost("canary", "pause", name)
    assert (refused.code, "has ended, aborted" in refused.err) == (1, True)
    assert "is running, on the way to 5 %" in roost("canary", "retry", name).out
    assert roost("canary", "promote", name, "--wait").out.startswith(f"canary of {name} to version 2 succeeded")


def test_the_command_fails_when_it_was_rolled_back(roost: Command, name: str) -> None:
    recorded(roost, name, ROOST_SIMULATED_FAULT="exits_at_once")
    ended = roost("canary", "start", name, "--to", "2", "--wait")
    assert (ended.code, ended.out) == (1, "")
    assert "the canary to version 2 was rolled back: version 2 did not start: exited with code 1" in ended.err
    assert "hint: version 1 has all the traffic" in ended.err
    assert "rolled back" in roost("canary", "show", name).out


def test_wrong_usage_names_the_option(roost: Command, name: str) -> None:
    recorded(roost, name)
    for options, told in (
        (("--to", "0"), "--to"),
        (("--to", "2", "--steps", "few"), 'write "few" as percents'),
        (("--to", "2", "--max-error-rate", "2"), "--max-error-rate"),
    ):
        ended = roost("canary", "start", name, *options)
        assert (ended.code, told in ended.err) == (2, True), ended.err
    refused = roost("canary", "start", name, "--to", "2", "--steps", "5,25")
    assert (refused.code, "the last is 100" in refused.err) == (1, True)
    assert roost("canary", "show", name).code == 3
    assert "roost canary start" in roost("canary", "list", name).err
