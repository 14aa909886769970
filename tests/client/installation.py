"""A Roost server of its own, in a process of its own, for tests that speak to it as users do."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from support import ports
from support.installation import until

START_SECONDS = 300.0


@dataclass(frozen=True)
class Installation:
    """`environ` makes the client find the server through the file that its first start wrote."""

    url: str
    token: str
    environ: dict[str, str]


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[Installation]:
    """A server with simulated boxes, for as long as the block lasts. `settings` are ROOST_* variables without their
    prefix, in lower case."""
    told = {
        "engine": "simulated",
        "data_dir": str(folder / "data"),
        "run_dir": str(folder / "run"),
        **{f"{name}_port": str(port) for name, port in zip(("api", "http", "https"), ports.free(3), strict=True)},
        "stop_grace_seconds": "0.1",
        "drain_seconds": "1",
        **settings,
    }
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ROOST_")}
    environ |= {"XDG_CONFIG_HOME": str(folder / "config")}
    server_environ = environ | {f"ROOST_{name.upper()}": value for name, value in told.items()}
    with (folder / "server.log").open("w") as log:
        command = [sys.executable, "-m", "roost_server.main", "run"]
        process = subprocess.Popen(command, env=server_environ, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert process.stdout is not None
            started = [process.stdout.readline() for _ in range(2)]
            token = re.search(r": (\S+)$", started[1].strip())
            assert token, f"the server did not start: {started} {(folder / 'server.log').read_text()}"
            until(lambda: _is_ready(process, f"http://127.0.0.1:{told['api_port']}/readyz"), START_SECONDS)
            yield Installation(f"http://127.0.0.1:{told['api_port']}", token[1], environ)
        finally:
            process.terminate()
            process.communicate()
            if told.get("gateway") == "envoy":  # which outlives its server
                command = [sys.executable, "-m", "roost_server.main", "down"]
                subprocess.run(command, env=server_environ, check=True, capture_output=True)


def _is_ready(process: "subprocess.Popen[str]", url: str) -> bool:
    """The token is told before the first connection is taken."""
    assert process.poll() is None, "the server ended"
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def refusing_port() -> Iterator[int]:
    """Whoever connects to it is refused: it is taken, and nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]
