"""One server for the whole folder; each test works with runtimes of its own names."""

import io
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx  # noqa: F401  (whole, before a command skips parts of it)
import pytest
from roost import AsyncRoost, Roost
from roost.cli import main

from client import installation
from client.installation import Installation


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installation.running(tmp_path_factory.mktemp("roost"), measure_seconds="1") as started:
        yield started


@pytest.fixture
def client(server: Installation) -> Iterator[Roost]:
    with Roost(server.url, server.token) as opened:
        yield opened


@pytest.fixture
async def async_client(server: Installation) -> AsyncIterator[AsyncRoost]:
    async with AsyncRoost(server.url, server.token) as opened:
        yield opened


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"a{uuid4().hex[:12]}"


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


Command = Callable[..., Ended]


@pytest.fixture
def roost(
    server: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Command]:
    """The command, in this process: `roost("ps", "-a", stdin="…")`."""
    for variable in ("ROOST_URL", "ROOST_TOKEN", "ROOST_ORG", "ROOST_WORKSPACE", "NO_COLOR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", server.environ["XDG_CONFIG_HOME"])

    def run(*arguments: str, stdin: str | bytes = "") -> Ended:
        given = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        capsys.readouterr()
        code = main.run(arguments)
        told = capsys.readouterr()
        return Ended(code, told.out, told.err)

    yield run


@pytest.fixture
def spawn(server: Installation) -> Callable[..., "subprocess.Popen[str]"]:
    """The command as a process, for what only a process shows."""

    def start(*arguments: str, **environ: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "roost.cli.main", *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=server.environ | environ, stdout=pipe, stderr=pipe, text=True)

    return start


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A directory that can be built."""
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text(f"FROM scratch\nCOPY . /\n# {uuid4()}\n")
    return folder
