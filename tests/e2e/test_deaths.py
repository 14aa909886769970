"""What dies comes back, and what need not notice does not: the server, Envoy, replicas."""

import contextlib
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from roost import Runtime, UnreachableError
from support.installation import Installation, until

from e2e.stories import agent, answers, envoy_pid, image_folder, states, traffic, whoami

pytestmark = pytest.mark.slow

RATE = 50
SECONDS = 10


@pytest.fixture(scope="module")
def hurt() -> Iterator[Installation]:
    """An installation whose parts may be killed."""
    with Installation() as roost:
        yield roost


@pytest.fixture
def roost(hurt: Installation) -> Iterator[Installation]:
    """It, running, without runtimes before and after."""
    if not hurt.runs:
        hurt.start()
    yield hurt
    for runtime in hurt.client.runtimes.list():
        runtime.delete()


def host_pid(runtime: Runtime) -> int:
    """The process id on this host of the agent."""
    [replica] = runtime.list_replicas()
    mine = f"ROOST_REPLICA_ID={replica.id}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mine in (process / "environ").read_bytes() and "python3" in (process / "exe").readlink().name:
                return int(process.name)
    raise AssertionError("no process of this replica")


def serving(runtime: Runtime) -> set[tuple[str, str]]:
    """Its replicas and when their processes began, by so many answers that none is missed."""
    return {(said["replica"], said["started"]) for said in (whoami(runtime) for _ in range(40))}


def until_restarted(runtime: Runtime, seconds: float = 60.0) -> None:
    """Its only replica was started again, once, and serves. That it is not active is seen only after its end is."""
    until(lambda: runtime.list_replicas()[0].restarts == 1 and answers(runtime), seconds)
    until(lambda: runtime.refresh().status == "active", seconds)


def test_a_killed_server_is_not_missed_by_any_request(roost: Installation) -> None:
    first = roost.client.runtimes.create("first", **agent(replicas=2))
    second = roost.client.runtimes.create("second", **agent())
    stopped = roost.client.runtimes.create("stopped", **agent())
    stopped.stop()
    processes = serving(first)
    before, envoy = states(roost), envoy_pid(roost)
    with traffic(roost, first, per_second=RATE) as steady:
        steady.progress(RATE * SECONDS // 3)
        roost.kill_9()
        steady.progress(RATE * SECONDS // 3)
        roost.start()
        steady.progress(RATE * SECONDS // 3)
    assert len(steady.answers) >= RATE * SECONDS * 0.9
    assert steady.failures == {}
    assert serving(first) == processes
    assert states(roost) == before
    assert envoy_pid(roost) == envoy
    assert whoami(second)["pid"]
    stopped.start()
    assert whoami(stopped)["replica"]


def test_a_server_killed_in_the_middle_of_a_deploy_finishes_it_later(roost: Installation) -> None:
    runtimes = [roost.client.runtimes.create(f"agent-{n}", wait=False, **agent()) for n in range(4)]
    roost.kill_9()
    roost.start()
    for runtime in runtimes:
        assert runtime.wait().status == "active"
        assert whoami(runtime)["replica"] == runtime.list_replicas()[0].id
    monitors = [one for one in roost.leftovers() if one.startswith("process ")]
    assert len(monitors) == len(runtimes)


def test_a_server_killed_in_the_middle_of_a_deletion_finishes_it_later(roost: Installation) -> None:
    runtimes = [roost.client.runtimes.create(f"agent-{n}", **agent()) for n in range(4)]
    for runtime in runtimes:
        runtime.delete(wait=False)
    roost.kill_9()
    roost.start()
    until(lambda: list(roost.client.runtimes.list()) == [])
    assert roost.leftovers() == []


def test_a_server_killed_in_the_middle_of_a_build_builds_again(roost: Installation, tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "slow", 'FROM builtin:runtime\nRUN sleep 2\nCMD ["sleep", "infinity"]\n')
    lines: list[str] = []

    def build() -> None:
        with contextlib.suppress(UnreachableError):
            roost.client.images.build(folder, "slow", on_line=lines.append)

    with ThreadPoolExecutor(1) as background:
        background.submit(build)
        until(lambda: any("RUN sleep" in line for line in lines))
        roost.kill_9()
        roost.start()
    until(lambda: roost.client.images.get("slow").status == "ready", 120)
    assert roost.client.runtimes.create("agent", "slow", health=False).status == "active"


def test_a_killed_envoy_comes_back_with_its_routes(roost: Installation, capsys: pytest.CaptureFixture[str]) -> None:
    runtime = roost.client.runtimes.create("agent", **agent())
    envoy, replica = envoy_pid(roost), whoami(runtime)
    with traffic(roost, runtime, per_second=100) as steady:
        steady.progress(100)
        os.kill(envoy, signal.SIGKILL)
        until(lambda: envoy_pid(roost) != envoy)
        seen = len(steady.answers)
        until(lambda: "200" in [answer for _, answer in steady.answers[seen:]])
        steady.progress(100)
    with capsys.disabled():
        print(
            f"\n  Envoy killed: {steady.gap():.2f} s without an answer, {sum(steady.failures.values())} requests failed"
        )
    assert whoami(runtime) == replica
    assert {answer for _, answer in steady.answers[-50:]} == {"200"}


def test_a_killed_replica_is_started_again_and_says_so(roost: Installation) -> None:
    runtime = roost.client.runtimes.create("agent", **agent())
    before = whoami(runtime)
    os.kill(host_pid(runtime), signal.SIGKILL)

    until_restarted(runtime)
    after = whoami(runtime)
    assert (after["replica"], after["started"] != before["started"]) == (before["replica"], True)
    events = {event.type: event for event in runtime.list_events()}
    assert "exited with code 137 (signal 9)" in events["replica.failed"].message
    assert events["replica.restarting"].data["restarts"] == 1
    until(lambda: [line.text for line in runtime.logs(contains="listens")] == ["version None listens on 8080"] * 2)


def test_an_agent_that_ends_itself_is_started_again(roost: Installation) -> None:
    runtime = roost.client.runtimes.create("agent", **agent())
    runtime.call("POST", "/end?7")
    until_restarted(runtime)
    assert any("exited with code 7" in event.message for event in runtime.list_events())


def test_a_replica_that_died_while_no_server_ran_is_found_and_started_again(roost: Installation) -> None:
    runtime = roost.client.runtimes.create("agent", **agent())
    pid = host_pid(runtime)
    roost.kill_9()
    os.kill(pid, signal.SIGKILL)
    roost.start()
    until_restarted(runtime)
    assert whoami(runtime)["replica"]


def test_one_of_two_replicas_dies_and_the_other_serves(roost: Installation) -> None:
    runtime = roost.client.runtimes.create("agent", **agent(replicas=2))
    with traffic(roost, runtime, method="GET", path="/health") as steady:
        steady.progress(50)
        runtime.call("POST", "/end?1")
        steady.progress(100)
        until(lambda: runtime.refresh().status == "active" and runtime.replicas.ready == 2)
        steady.progress(25)
    assert steady.failures == {}
