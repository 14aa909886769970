"""Everything that changes a runtime, under 200 requests a second from another process: not one may fail."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from roost import Runtime
from support.installation import Installation, until

from e2e.stories import agent, whoami

pytestmark = pytest.mark.slow

RATE = 200
TESTS = Path(__file__).parents[1]


class Load:
    """Steady requests from a process of their own. `failures` is what went wrong, by what was said."""

    def __init__(self, roost: Installation, runtime: Runtime, output: Path) -> None:
        self._output = output
        base, host = f"http://127.0.0.1:{roost.http_port}", httpx.URL(runtime.url).host
        command = [sys.executable, "-m", "e2e.load", base, host, str(RATE), str(output)]
        self._process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(TESTS)})

    def answers(self, since: float = 0.0) -> list[list[str]]:
        """Of each answer to what was asked for since then (monotonic seconds): when that was, what was said and how
        many milliseconds it took. The last line may be still on its way."""
        text = self._output.read_text() if self._output.exists() else ""
        whole = [line.split("\t") for line in text[: text.rfind("\n") + 1].splitlines()]
        return [answer for answer in whole if float(answer[0]) >= since]

    @property
    def failures(self) -> dict[str, int]:
        return self.failures_since(0.0)

    def failures_since(self, since: float) -> dict[str, int]:
        return dict(Counter(answer[1] for answer in self.answers(since) if answer[1] != "200"))

    def progress(self, answers: int = 2 * RATE) -> None:
        """Wait until so many more were answered, and none of all with a failure."""
        enough = len(self.answers()) + answers
        until(lambda: len(self.answers()) >= enough, 120)
        assert self.failures == {}

    def end(self) -> int:
        """How many requests were answered in all."""
        self._process.terminate()
        assert self._process.wait(120) == 0
        return len(self.answers())


@contextmanager
def load(roost: Installation, runtime: Runtime, folder: Path) -> Iterator[Load]:
    steady = Load(roost, runtime, folder / "answers")
    try:
        yield steady
    finally:
        steady._process.kill()


class Deployed:
    """The agent under load, and what can be done with it over the API."""

    def __init__(self, roost: Installation) -> None:
        self.runtime = roost.client.runtimes.create("steady", **self._agent(1))
        self.api = httpx.Client(
            base_url=f"{roost.url}/api/v1/org/default/ws/default/runtimes/steady",
            headers={"Authorization": f"Bearer {roost.env['ROOST_ADMIN_TOKEN']}"},
            timeout=120,
            trust_env=False,
        )

    def _agent(self, version: int, **more: Any) -> dict[str, Any]:
        return agent(env={"START_SECONDS": "1", "VERSION": str(version)}, cpus=1, **more)

    def update(self, version: int, **changes: Any) -> None:
        """A new version that says it is `version`; `changes` are sections of the configuration."""
        config = self.runtime.get_config()
        config["runtime_server"]["env"]["VERSION"] = str(version)
        config.update(changes)  # type: ignore[typeddict-item]
        self.api.put("/config", json={"config": config}).raise_for_status()

    def point(self, **change: Any) -> None:
        self.api.patch("/endpoints/DEFAULT", params={"wait": 60}, json=change).raise_for_status()

    def active(self) -> None:
        until(lambda: self.runtime.refresh().status == "active", 120)

    def serves(self, version: int) -> None:
        until(lambda: whoami(self.runtime)["version"] == str(version))
        self.active()

    def serving(self, version: int) -> set[str]:
        """Replicas of one version: one that is only kept ready for a rollback is of another."""
        return {one.id for one in self.runtime.list_replicas() if one.version == version}

    def fill(self, mib: int) -> None:
        """Have each replica that serves the latest version hold so much more memory than it needs."""
        for replica in self.runtime.list_replicas():
            if replica.version == self.runtime.version:
                url = f"http://{replica.address}:8080/fill?{mib}"
                httpx.post(url, timeout=60, trust_env=False).raise_for_status()

    def ready(self, replicas: int) -> None:
        until(lambda: self.runtime.refresh().replicas.ready == replicas, 120)


def update_and_go_back(deployed: Deployed, steady: Load) -> None:
    deployed.update(2)
    deployed.serves(2)
    steady.progress()
    deployed.point(version=1)
    deployed.serves(1)
    steady.progress()
    deployed.point(version=None)  # follow the latest again
    deployed.serves(2)
    steady.progress()


def scale_out_and_in(deployed: Deployed, steady: Load) -> None:
    """By memory, of which one process has what it wants, however busy the machine is."""
    scaling = {"min_replicas": 1, "max_replicas": 3, "cpu_utilization": 75, "memory_utilization": 50}
    deployed.update(3, autoscaling=scaling)
    deployed.serves(3)
    deployed.fill(70)
    until(lambda: deployed.runtime.refresh().replicas.ready > 1, 120)
    steady.progress()
    deployed.fill(0)
    deployed.ready(1)
    steady.progress()


def reset_the_service_account(deployed: Deployed, steady: Load) -> None:
    before = deployed.serving(3)
    deployed.api.post("/service-account/reset", params={"wait": 60}).raise_for_status()
    until(lambda: deployed.serving(3) and not before & deployed.serving(3), 120)
    deployed.active()
    steady.progress()


def update_to_a_broken_version(deployed: Deployed, steady: Load) -> None:
    deployed.update(4, process={"command": ["no-such-agent"]})
    until(lambda: deployed.runtime.refresh().status == "error", 120)
    assert "version 4 did not start" in (deployed.runtime.message or "")
    steady.progress()
    deployed.point(version=3)
    deployed.serves(3)
    steady.progress()


def test_nothing_that_changes_a_runtime_fails_a_request(own: Callable[..., Installation], tmp_path: Path) -> None:
    roost = own(measure_seconds="1", scale_in_seconds="5", rollback_seconds="600").start()
    deployed = Deployed(roost)
    with load(roost, deployed.runtime, tmp_path) as steady:
        steady.progress()
        update_and_go_back(deployed, steady)
        scale_out_and_in(deployed, steady)
        reset_the_service_account(deployed, steady)
        update_to_a_broken_version(deployed, steady)
        answered = steady.end()
        assert steady.failures == {}
        assert answered > 9 * 2 * RATE
