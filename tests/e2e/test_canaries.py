"""Canaries under 200 requests a second, through Envoy, with real agents: good ones take over, bad ones go."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from roost import Canary, Runtime
from support.installation import Installation, until

from e2e.stories import agent, whoami
from e2e.test_zero_downtime import Load, load

pytestmark = pytest.mark.slow

Deploy = Callable[..., Runtime]
SESSIONS = 40
CERTAIN = 100
"""Of so many requests a version that fails one in twenty fails some, however they fall."""
SLOW_SECONDS = "2"
"""Beyond what a busy machine makes of a quick answer."""


def two_versions(deploy: Deploy, **env: str) -> Runtime:
    """Version 1 serves; version 2 has `env` and is only recorded."""
    runtime = deploy(**agent(env={"VERSION": "1"}))
    config = runtime.get_config()
    config["runtime_server"]["env"] |= {"VERSION": "2", **env}
    return runtime.put_config(config, apply="next_start")


def called(steady: Load, answers: int) -> None:
    """Wait until so many requests were answered."""
    enough = len(steady.answers()) + answers
    until(lambda: len(steady.answers()) >= enough, 300)


def versions_that_served(runtime: Runtime) -> dict[int, int]:
    """The largest share of the traffic that each version had, by what was recorded."""
    most: dict[int, int] = defaultdict(int)
    for event in runtime.list_events():
        for version, weight in event.data.get("live", {}).items():
            most[int(version)] = max(most[int(version)], weight)
    return most


class Sessions:
    """Many sessions that go on calling, and which versions answered each."""

    def __init__(self, roost: Installation, runtime: Runtime) -> None:
        self._base, self._host = f"http://127.0.0.1:{roost.http_port}", httpx.URL(runtime.url).host
        self._stop = threading.Event()
        self.versions: dict[str, set[str]] = defaultdict(set)
        self.count = SESSIONS
        self.rounds = 0

    def run(self) -> None:
        with httpx.Client(base_url=self._base, headers={"host": self._host}, trust_env=False, timeout=60) as client:
            while not self._stop.is_set():
                for number in range(self.count):
                    self._call(client, f"session-{number}")
                self.rounds += 1
                time.sleep(0.2)

    def _call(self, client: httpx.Client, session: str) -> None:
        answer: dict[str, Any] = client.get("/whoami", headers={"x-roost-session-id": session}).json()
        self.versions[session].add(answer["version"])

    def more(self) -> None:
        """As many new ones join; wait until each was answered."""
        self.count += SESSIONS
        until(lambda: len(self.versions) == self.count, 300)

    def end(self) -> None:
        self._stop.set()


@contextmanager
def sessions(roost: Installation, runtime: Runtime) -> Iterator[Sessions]:
    calling = Sessions(roost, runtime)
    thread = threading.Thread(target=calling.run)
    thread.start()
    try:
        yield calling
    finally:
        calling.end()
        thread.join()


def test_a_version_that_fails_one_request_in_twenty_goes_by_itself_before_it_has_a_quarter(
    deploy: Deploy, shared: Installation, tmp_path: Path
) -> None:
    runtime = two_versions(deploy, FAIL_EVERY="20")
    with load(shared, runtime, tmp_path) as steady:
        called(steady, 200)
        canary = runtime.start_canary(2, interval_seconds=5, min_requests=CERTAIN)
        until(lambda: canary.refresh(wait=20).has_ended, 300)
        assert (canary.status, canary.weight, canary.new.weight) == ("rolled_back", 5, 0), canary
        assert canary.new.error_rate > 0.01 and canary.old.errors == 0
        until(lambda: {one.version for one in runtime.list_replicas()} == {1}, 300)
        gone = time.monotonic()
        until(lambda: len(steady.answers(gone)) >= 400, 300)
        assert steady.failures_since(gone) == {}
        assert set(steady.failures) and all(said.startswith("500 ") for said in steady.failures)
        steady.end()
    assert versions_that_served(runtime)[2] == 5
    [event] = [one for one in runtime.list_events() if one.type == "canary.rolled_back"]
    assert event.data["new"]["errors"] == canary.new.errors


def test_a_slow_version_goes_by_itself(deploy: Deploy, shared: Installation, tmp_path: Path) -> None:
    runtime = two_versions(deploy, ECHO_SECONDS=SLOW_SECONDS)
    with load(shared, runtime, tmp_path) as steady:
        called(steady, 200)
        canary = runtime.start_canary(2, interval_seconds=600)
        until(lambda: canary.refresh(wait=20).has_ended, 300)
        assert canary.status == "rolled_back" and "95 % of" in (canary.message or ""), canary
        steady.end()
        assert steady.failures == {}


def test_a_good_version_takes_over_and_no_session_from_before_or_meanwhile_changes_its_version(
    own: Callable[..., Installation], tmp_path: Path
) -> None:
    roost = own(rollback_seconds="600").start()
    runtime = two_versions(lambda **options: roost.client.runtimes.create("sessions", **options))
    with load(roost, runtime, tmp_path) as steady, sessions(roost, runtime) as calling:
        until(lambda: calling.rounds > 0, 300)
        before = set(calling.versions)
        canary = runtime.start_canary(2, interval_seconds=4)
        until(lambda: whoami(runtime)["version"] == "2", 300)
        for weight in (5, 25, 50):
            until(lambda weight=weight: at(canary, weight), 300)
            calling.more()
        canary.wait(300)
        rounds = calling.rounds
        until(lambda: calling.rounds > rounds + 2, 300)
        steady.progress()
        steady.end()
        assert steady.failures == {}
    assert (canary.status, runtime.refresh().applied_version) == ("succeeded", 2)
    changed = {session: versions for session, versions in calling.versions.items() if len(versions) > 1}
    assert changed == {}
    assert [calling.versions[session] for session in before] == [{"1"}] * SESSIONS
    assert {version for versions in calling.versions.values() for version in versions} == {"1", "2"}
    assert versions_that_served(runtime)[2] == 100


def at(canary: Canary, weight: int) -> bool:
    """Whether this step is under way or over."""
    canary.refresh()
    assert canary.status in ("running", "succeeded"), canary
    return canary.weight > weight or (canary.weight == weight and canary.step_since is not None)
