"""A server of its own process, with the simulated engine, on a free port of the loopback address."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from support import ports

TOKEN = "test-token-of-the-administrator"


class Served:
    """`url` is the server's root, `http` a client with a good token under the workspace's base path."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, log: Path) -> None:
        self.process, self.url, self._log = process, url, log
        base = f"{url}/api/v1/org/default/ws/default"
        self.http = httpx.Client(base_url=base, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60)

    @property
    def log(self) -> str:
        return self._log.read_text()


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[Served]:
    """For as long as the block lasts. `settings` are environment variables without their prefix."""
    [port] = ports.free(1)
    own = {"data_dir": str(folder / "data"), "run_dir": str(folder / "run"), "api_port": str(port)}
    own |= {"engine": "simulated", "admin_token": TOKEN, **settings}
    environment = os.environ | {f"ROOST_{name.upper()}": value for name, value in own.items()}
    with (folder / "server.log").open("wb") as log:
        command = [sys.executable, "-m", "roost_server.main", "run"]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
    served = Served(process, f"http://127.0.0.1:{port}", folder / "server.log")
    try:
        _until_ready(served)
        yield served
    finally:
        served.http.close()
        process.kill()
        process.wait()


def _until_ready(served: Served) -> None:
    while served.process.poll() is None:
        with suppress(httpx.TransportError):
            if served.http.get(f"{served.url}/readyz").status_code == 200:
                return
        time.sleep(0.02)  # what asks takes from what is asked
    raise AssertionError(f"the server ended: {served.log}")
