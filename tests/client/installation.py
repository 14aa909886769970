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


@dataclass(frozen=True)
class Installation:
    """`environ` makes the client find the server through the file that its first start wrote."""

    url: str
    token: str
    environ: dict[str, str]


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[Installation]:
    """A server with simulated boxes. `settings` are ROOST_* variables without their prefix, in lower case."""
    told = {
        "engine": "simulated",
        "data_dir": str(folder / "data"),
        "run_dir": str(folder / "run"),
        "api_port": str(free_port()),
        "http_port": str(free_port()),
        "https_port": str(free_port()),
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
            _until_ready(process, f"http://127.0.0.1:{told['api_port']}/readyz")
            yield Installation(f"http://127.0.0.1:{told['api_port']}", token[1], environ)
        finally:
            process.terminate()
            process.communicate()


def _until_ready(process: "subprocess.Popen[str]", url: str) -> None:
    """The token is told before the first connection is taken."""
    while process.poll() is None:
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            continue
    raise AssertionError("the server ended")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
