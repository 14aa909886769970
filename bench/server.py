"""A Roost server of the benchmark's own: private ports and directories, one gateway worker, gone afterwards."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

import httpx

PATIENCE_SECONDS = 60


class Server:
    """Use it as a context manager. With `keep`, its data directory (images above all) stays for the next time."""

    def __init__(self, keep: Path | None = None) -> None:
        self._keep = keep
        self._dir = Path(tempfile.mkdtemp(prefix="roost-bench-"))
        self._dir.chmod(0o711)  # replicas run as users of their own and must pass it
        self.data_dir = keep or self._dir / "data"
        self.token = secrets.token_hex(16)
        api, http, https = _free_ports(3)
        self.url = f"http://127.0.0.1:{api}"
        self._env = os.environ | {
            "ROOST_DATA_DIR": str(self.data_dir),
            "ROOST_RUN_DIR": str(self._dir / "run"),
            "ROOST_API_PORT": str(api),
            "ROOST_HTTP_PORT": str(http),
            "ROOST_HTTPS_PORT": str(https),
            "ROOST_HTTP_HOST": "127.0.0.1",
            "ROOST_ADMIN_TOKEN": self.token,
            "ROOST_GATEWAY_WORKERS": "1",
        }

    def __enter__(self) -> "Server":
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._log = (self._dir / "log").open("wb")
        self._process = subprocess.Popen(self._command("run"), env=self._env, stdout=self._log, stderr=self._log)
        try:
            self._wait()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE_SECONDS)
        down = subprocess.run(self._command("down"), env=self._env, stdout=self._log, stderr=self._log, check=False)
        self._log.close()
        if kind is not None or down.returncode != 0:
            print(f"the server's log ended with:\n{self._log_tail()}", file=sys.stderr)
        shutil.rmtree(self._dir, ignore_errors=True)

    def _command(self, verb: str) -> list[str]:
        return [str(Path(sys.executable).with_name("roost-server")), verb]

    def _wait(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                httpx.get(f"{self.url}/readyz").raise_for_status()
                return
            except httpx.HTTPError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"cannot start the server:\n{self._log_tail()}") from None
                time.sleep(0.1)

    def _log_tail(self) -> str:
        return "\n".join((self._dir / "log").read_text().splitlines()[-30:])


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports
