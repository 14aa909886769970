"""exec: one command inside a running box, its output collected within limits.

`runc exec --detach` puts the command into the box under all of the box's restrictions, and the adopter learns how it
ends. So a command that leaves something running in the background returns when it ends itself. Every exec has a cgroup
of its own, by which a timeout ends all that it started. Few are started at once in one box: until its command runs, an
exec is half a dozen threads, which count as processes of the box.
"""

import asyncio
import itertools
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, cast
from weakref import WeakValueDictionary

from roost_server.domain import errors
from roost_server.domain.exec import ExecRequest, ExecResult
from roost_server.engines.oci.cgroups import Cgroups
from roost_server.engines.oci.orphans import Command, Orphans
from roost_server.engines.oci.process import bundle, users

TIMED_OUT, NOT_EXECUTABLE, NOT_FOUND = 124, 126, 127
DRAIN_SECONDS = 0.1
KILL_SECONDS, KILL_ATTEMPTS = 0.5, 20
MOST_STARTING = 4


class Output(asyncio.Protocol):
    """Keeps what fits and reads the rest, so that the command never waits for us.

    Goes on reading when the exec is over: what it left in the background would die of a closed pipe.
    """

    def __init__(self, most_bytes: int) -> None:
        self.kept = bytearray()
        self.truncated = False
        self.closed = asyncio.Event()
        self._room = most_bytes

    def data_received(self, data: bytes) -> None:
        self.kept += data[: self._room]
        self.truncated = self.truncated or len(data) > self._room
        self._room -= min(self._room, len(data))

    def connection_lost(self, error: Exception | None) -> None:
        self.closed.set()

    def take(self) -> bytes:
        """What was kept; from now on everything is thrown away."""
        taken, self.kept, self._room = bytes(self.kept), bytearray(), 0
        return taken


class Input(asyncio.BaseProtocol):
    """Gives stdin to the command as fast as it reads."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None

    def give(self, data: bytes) -> None:
        """All of it, and then its end. Not within `connection_made`: asyncio would still add the closed pipe."""
        if self._transport is not None:
            self._transport.write(data)
            self._transport.close()

    def stop(self) -> None:
        if self._transport is not None:
            self._transport.abort()


@dataclass(frozen=True)
class Pipes:
    """The command's three descriptors, and our ends of them."""

    stdio: list[int]
    stdin: Input | None
    stdout: Output
    stderr: Output


class Exec:
    def __init__(self, runtime: str, root: Path, cgroups: Cgroups, orphans: Orphans) -> None:
        self._command = [runtime, "--root", str(root)]
        self._cgroups = cgroups
        self._orphans = orphans
        self._numbers = itertools.count(1)
        self._starting: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def run(self, replica_id: str, directory: Path, request: ExecRequest) -> ExecResult:
        """`directory` is the bundle of the box."""
        began = perf_counter()
        _check(request)
        name = f"exec-{os.getpid()}-{next(self._numbers)}"
        prepared = Prepared(directory, name, request, began)
        turn = self._starting.setdefault(replica_id, asyncio.Semaphore(MOST_STARTING))
        try:
            await asyncio.wait_for(turn.acquire(), request.timeout_seconds)
        except TimeoutError:
            return ExecResult(TIMED_OUT, b"", b"", (perf_counter() - began) * 1000, timed_out=True)
        try:
            command, pipes = await self._begin(replica_id, prepared)
            command.started.add_done_callback(lambda _: turn.release())
        except BaseException:
            turn.release()
            self._tidy(replica_id, prepared)
            raise
        try:
            return await self._collect(replica_id, prepared, command, pipes)
        finally:
            self._tidy(replica_id, prepared)

    async def _begin(self, replica_id: str, prepared: "Prepared") -> tuple[Command, Pipes]:
        try:
            cgroup = self._cgroups.make_exec(replica_id, prepared.name)
            prepared.write()
        except FileNotFoundError as error:
            raise not_running(replica_id) from error
        pipes = await _open_pipes(prepared.request)
        try:
            argv = prepared.argv(self._command, cgroup, replica_id)
            return self._orphans.run(argv, prepared.pid, pipes.stdio), pipes
        finally:
            for descriptor in pipes.stdio:
                os.close(descriptor)

    def _tidy(self, replica_id: str, prepared: "Prepared") -> None:
        prepared.remove()
        self._cgroups.remove_exec(replica_id, prepared.name)

    async def _collect(self, replica_id: str, prepared: "Prepared", command: Command, pipes: Pipes) -> ExecResult:
        left = prepared.request.timeout_seconds - (perf_counter() - prepared.began)
        try:
            code, timed_out = await self._wait(replica_id, prepared.name, command, left)
        finally:
            if pipes.stdin is not None:
                pipes.stdin.stop()
        await _drain(pipes)
        return _result(replica_id, prepared, command, pipes, code, timed_out)

    async def _wait(self, replica_id: str, name: str, command: Command, seconds: float) -> tuple[int, bool]:
        """The exit code (-9: signal 9), and whether the time ran out. A caller that gives up ends the command too."""
        try:
            return await asyncio.wait_for(asyncio.shield(command.ended), seconds), False
        except TimeoutError:
            await self._end(replica_id, name, command)
            return TIMED_OUT, True
        except asyncio.CancelledError:
            with suppress(errors.Unavailable):
                await self._end(replica_id, name, command)
            raise

    async def _end(self, replica_id: str, name: str, command: Command) -> None:
        """Kill it, again and again in case it was only being started."""
        for _ in range(KILL_ATTEMPTS):
            await self._kill(replica_id, name)
            ended, _ = await asyncio.wait([command.ended], timeout=KILL_SECONDS)
            if ended:
                return
        raise errors.Unavailable(f"cannot end a command in replica {replica_id}: it does not die; try again")

    async def _kill(self, replica_id: str, name: str) -> None:
        await asyncio.to_thread(self._cgroups.kill_exec, replica_id, name)


def _check(request: ExecRequest) -> None:
    """Raises `Invalid` for what no system call would take."""
    if not request.command or not request.command[0]:
        raise errors.Invalid("cannot run an empty command: name a program")
    if any("\0" in word for word in (*request.command, *request.env, *request.env.values())):
        raise errors.Invalid(f'cannot run "{request.command[0]}": words and variables cannot hold NUL characters')
    if request.cwd is not None and not request.cwd.startswith("/"):
        raise errors.Invalid(f'cannot run "{request.command[0]}" in "{request.cwd}": it is not an absolute path')


class Prepared:
    """The files of one exec in the box's bundle: the process for runc, runc's log, the command's process id.

    `began` is when it was asked for, by `perf_counter`."""

    def __init__(self, directory: Path, name: str, request: ExecRequest, began: float) -> None:
        self.name = name
        self.began = began
        self.request = request
        self.pid = directory / f"{name}.pid"
        self._directory = directory
        self._process = directory / f"{name}.json"
        self._log = directory / f"{name}.log"

    def write(self) -> None:
        bundle.write_for_root(self._process, process(self._directory, self.request))

    def argv(self, runtime: list[str], cgroup: str, replica_id: str) -> list[str]:
        log = ["--log", str(self._log), "--log-format", "json"]
        files = ["--process", str(self._process), "--pid-file", str(self.pid)]
        return [*runtime, *log, "exec", "--detach", *files, "--cgroup", cgroup, replica_id]

    def complaint(self) -> str:
        """What runc said when it could not start the command."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        said = [json.loads(line).get("msg", "") for line in lines if line.startswith("{")]
        return str(said[-1]) if said else "the runtime gave no reason"

    def remove(self) -> None:
        for path in (self._process, self._log, self.pid):
            path.unlink(missing_ok=True)


def process(directory: Path, request: ExecRequest) -> dict[str, Any]:
    """The runtime-spec's process: the box's own, with what the request says otherwise."""
    section = bundle.read_process(directory)
    env = dict(item.split("=", 1) for item in section["env"])
    if request.user is not None:
        user = users.look_up(directory / "rootfs", request.user)
        section |= bundle.user_section(user.uid, user.gid, user.groups)
        env["HOME"] = user.home
    env |= request.env
    section["env"] = [f"{name}={value}" for name, value in env.items()]
    return section | {"args": request.command, "cwd": request.cwd or section["cwd"]}


async def _open_pipes(request: ExecRequest) -> Pipes:
    stdin, feed = await _fed(request.stdin)
    out_reading, out_writing = os.pipe()
    err_reading, err_writing = os.pipe()
    stdout, stderr = await _read(out_reading, request), await _read(err_reading, request)
    return Pipes([stdin, out_writing, err_writing], feed, stdout, stderr)


async def _fed(data: bytes) -> tuple[int, Input | None]:
    """A descriptor that gives `data` and then its end."""
    if not data:
        return os.open(os.devnull, os.O_RDONLY), None
    reading, writing = os.pipe()
    loop = asyncio.get_running_loop()
    _, feed = await loop.connect_write_pipe(Input, os.fdopen(writing, "wb", 0))
    feed.give(data)
    return reading, feed


async def _read(descriptor: int, request: ExecRequest) -> Output:
    file = os.fdopen(descriptor, "rb", 0)
    loop = asyncio.get_running_loop()
    _, output = await loop.connect_read_pipe(lambda: Output(request.max_output_bytes), file)
    return output


async def _drain(pipes: Pipes) -> None:
    """The command ended: take what is in its pipes. A background process may hold them open for ever."""
    closed = asyncio.gather(pipes.stdout.closed.wait(), pipes.stderr.closed.wait())
    try:
        await asyncio.wait_for(closed, DRAIN_SECONDS)
    except TimeoutError:
        return


def _result(
    replica_id: str,
    prepared: Prepared,
    command: Command,
    pipes: Pipes,
    code: int,
    timed_out: bool,
) -> ExecResult:
    stdout, stderr = pipes.stdout.take(), pipes.stderr.take()
    if not command.started.result() and not timed_out:
        code, stderr = _refusal(replica_id, prepared)
    signal = -code if code < 0 else None
    return ExecResult(
        exit_code=128 + signal if signal else code,
        stdout=stdout,
        stderr=stderr,
        duration_ms=(perf_counter() - prepared.began) * 1000,
        stdout_truncated=pipes.stdout.truncated,
        stderr_truncated=pipes.stderr.truncated,
        timed_out=timed_out,
        signal=signal,
    )


def _refusal(replica_id: str, prepared: Prepared) -> tuple[int, bytes]:
    """Exit code and words of a command that never began, as a shell would put them."""
    said = prepared.complaint()
    name, cwd = prepared.request.command[0], prepared.request.cwd
    if "chdir to cwd" in said:
        raise errors.Invalid(f'cannot run "{name}": there is no directory "{cwd}" in the replica')
    if "executable file not found" in said or "no such file or directory" in said:
        return NOT_FOUND, f"{name}: not found\n".encode()
    if "permission denied" in said or "exec format error" in said or "is a directory" in said:
        return NOT_EXECUTABLE, f"{name}: cannot be executed\n".encode()
    if "argument list too long" in said:
        return NOT_EXECUTABLE, f"{name}: argument list too long\n".encode()
    if "not running" in said or "stopped container" in said or "does not exist" in said:
        raise not_running(replica_id)
    raise errors.Unavailable(f'cannot run "{name}" in the replica; try again', detail=said)


def not_running(replica_id: str) -> errors.Conflict:
    return errors.Conflict(f"cannot run a command in replica {replica_id}: it does not run")
