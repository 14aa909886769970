"""Real agents in processes of their own, and the gate at which their handlers wait."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx
import pytest
from support import ports

AGENTS = Path(__file__).parent / "agents.py"
PATIENCE_SECONDS = 60


class Agent:
    """One running agent. `command` ends before the port; `log` is all that it wrote."""

    def __init__(self, command: Sequence[str], log: Path, env: dict[str, str]) -> None:
        (self.port,) = ports.free(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, *command, str(self.port)], stdout=output, stderr=output, env={**os.environ, **env}
            )
        self.http = httpx.Client(base_url=self.url, timeout=PATIENCE_SECONDS)

    @property
    def log(self) -> str:
        return self._log.read_text()

    def invoke(self, payload: object, **headers: str) -> httpx.Response:
        return self.http.post("/invocations", json=payload, headers=headers)

    def health(self) -> str:
        return str(self.http.get("/health").json()["status"])

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def exit_code(self) -> int:
        return self.process.wait(PATIENCE_SECONDS)

    def close(self) -> None:
        self.http.close()
        self.process.kill()
        self.process.wait()


class Gate:
    """Where handlers wait. `enter` lets the test wait for one to come; the answer is its connection."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(PATIENCE_SECONDS)
        self.port: int = self._socket.getsockname()[1]

    def enter(self) -> "Visitor":
        connection, _ = self._socket.accept()
        connection.settimeout(PATIENCE_SECONDS)
        return Visitor(connection)

    def close(self) -> None:
        self._socket.close()


class Visitor:
    """A handler that waits at the gate."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def release(self, word: str = "go") -> None:
        self._connection.sendall(f"{word}\n".encode())

    def is_gone(self) -> bool:
        """Wait until the handler ended without being released."""
        return self._connection.recv(1) == b""

    def close(self) -> None:
        self._connection.close()


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; fails the test when it never comes true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)


def answers(agent: Agent) -> bool:
    assert agent.process.poll() is None, agent.log
    try:
        return agent.http.get("/health").status_code in (200, 503)
    except httpx.TransportError:
        return False


class Fleet:
    """Starts agents, and ends them all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._agents: list[Agent] = []
        self._shared: dict[str, Agent] = {}

    def launch(self, name: str, **env: str) -> Agent:
        """Start one and do not wait."""
        return self.launch_command(str(AGENTS), name, **env)

    def launch_command(self, *command: str, **env: str) -> Agent:
        """Start any Python program that takes the port as its last argument."""
        self._agents.append(Agent(command, self._folder / f"{len(self._agents)}.log", env))
        return self._agents[-1]

    def run(self, name: str, **env: str) -> Agent:
        """Start one and wait until it answers."""
        agent = self.launch(name, **env)
        until(lambda: answers(agent))
        return agent

    def shared(self, name: str) -> Agent:
        """The one of this name that all tests use, idle."""
        if name not in self._shared:
            self._shared[name] = self.run(name)
        agent = self._shared[name]
        until(lambda: agent.health() == "Healthy")
        return agent

    def close(self) -> None:
        for agent in self._agents:
            agent.close()


@pytest.fixture(scope="session")
def agents(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Agents that outlive a test: `agents.shared(name)`."""
    fleet = Fleet(tmp_path_factory.mktemp("agents"))
    yield fleet
    fleet.close()


@pytest.fixture
def own_agents(tmp_path: Path) -> Iterator[Fleet]:
    """Agents of this test alone, for it to stop."""
    fleet = Fleet(tmp_path)
    yield fleet
    fleet.close()


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.close()
