"""A whole Roost of a test's own: the real server, Envoy and containers as processes; gone without trace at the end.

with Installation() as roost:
    roost.start()
    roost.client.runtimes.create("agent")
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import httpx
from roost import Roost

from support import builtin, leftovers, ports

T = TypeVar("T")
TOKEN = "the-token-of-an-end-to-end-test"
START_SECONDS = 120.0
COMMAND_SECONDS = 300.0


def until(look: Callable[[], T], seconds: float = 60.0) -> T:
    """What `look` gives as soon as it is true. Fails the test, with the last look, when it never is. What takes long
    is looked at less often: looking takes from those who are waited for."""
    began = time.monotonic()
    while not (seen := look()):
        waited = time.monotonic() - began
        assert waited < seconds, f"waited {seconds:g} s in vain; the last look was {seen!r}"
        time.sleep(max(0.02, min(waited / 50, 1)))
    return seen


class Installation:
    """Directories under a short path (sockets), free ports, one server process at a time. `settings` are ROOST_*."""

    def __init__(self, *, with_builtin: bool = True, **settings: str) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="roost-e2e-", dir="/tmp"))
        self.root.chmod(0o755)
        self.data, self.run = self.root / "data", self.root / "run"
        if with_builtin:
            builtin.give(self.data)
        self.api_port, self.http_port, self.https_port = ports.free(3)
        self.env = self._clean_environment() | {f"ROOST_{name.upper()}": value for name, value in settings.items()}
        self.url = f"http://127.0.0.1:{self.api_port}"
        self.client = Roost(self.url, TOKEN, "default", "default")
        self._process: subprocess.Popen[bytes] | None = None

    def _clean_environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ROOST_", "PYTHON"))}
        return inherited | {
            "XDG_CONFIG_HOME": str(self.root / "config"),
            "ROOST_DATA_DIR": str(self.data),
            "ROOST_RUN_DIR": str(self.run),
            "ROOST_API_PORT": str(self.api_port),
            "ROOST_HTTP_PORT": str(self.http_port),
            "ROOST_HTTPS_PORT": str(self.https_port),
            "ROOST_HTTP_HOST": "127.0.0.1",
            "ROOST_ADMIN_TOKEN": TOKEN,
            "ROOST_GATEWAY_WORKERS": "1",
            "ROOST_STOP_GRACE_SECONDS": "5",
            "ROOST_ROLLBACK_SECONDS": "1",
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.destroy()

    @property
    def pid(self) -> int:
        """The server's process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Whether its server does."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start the server and wait until it is ready. Fails the test with the server's log when it ends instead."""
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self._server("run"), env=self.env, stdout=log, stderr=log, start_new_session=True
            )
        until(self._answers, START_SECONDS)
        return self

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the server ended:\n{self.log()}"
        try:
            return httpx.get(f"{self.url}/readyz", trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def kill_9(self) -> None:
        """The server dies at once; replicas and Envoy are none of its business."""
        self._end(signal.SIGKILL)

    def terminate(self) -> int:
        """The server ends in order; its exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, number: int) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        code = self._process.wait(60)
        self._process = None
        return code

    def restart(self) -> Self:
        self.terminate()
        return self.start()

    def down(self) -> "subprocess.CompletedProcess[str]":
        """`roost-server down`."""
        return self.server("down")

    def server(self, *arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
        """Run `roost-server` to its end with this installation's settings."""
        return self._run(self._server(*arguments), env)

    def cli(self, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        """Run `roost` as this installation's user, who has the token at hand if it was given to the server."""
        command = [str(Path(sys.executable).with_name("roost")), *arguments]
        token = self.env.get("ROOST_ADMIN_TOKEN")
        return self._run(command, {"ROOST_URL": self.url, "ROOST_TOKEN": token} if token else {}, stdin)

    def _run(self, command: list[str], env: dict[str, str], stdin: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command, env=self.env | env, input=stdin, capture_output=True, text=True, timeout=COMMAND_SECONDS
        )

    def _server(self, *arguments: str) -> list[str]:
        return [str(Path(sys.executable).with_name("roost-server")), *arguments]

    @property
    def log_file(self) -> Path:
        return self.root / "server.log"

    def log(self, lines: int = 40) -> str:
        """The end of the server's log."""
        text = self.log_file.read_text(errors="replace") if self.log_file.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def leftovers(self) -> list[str]:
        """What runtimes have or left on the host."""
        return leftovers.of_runtimes(self.root)

    def destroy(self) -> None:
        """Take everything away, whatever state it is in. Fails the test when Roost's own `down` left something."""
        try:
            if self.runs:
                self._end(signal.SIGKILL)
            self.client.close()
            down = self.down() if leftovers.of_all(self.root) else None
            left = leftovers.of_all(self.root)
        finally:
            leftovers.sweep(self.root)
            shutil.rmtree(self.root)
        assert not left, f"`roost-server down` left {left}; it said {down and down.stdout + down.stderr}"
