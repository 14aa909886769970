"""Programs that image work runs: streamed, killed with everything they started when the caller goes away.

Every program is told to die with this server, so a killed server leaves no half-done copy behind it.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from roost_server.domain import errors
from roost_server.domain.runtime import Reason
from roost_server.engines.oci.linux import processes
from roost_server.engines.oci.linux.processes import KILLED_SECONDS

NOT_FOUND = 127
DIE_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL", "--")
OnOutput = Callable[[str], None]


@dataclass(frozen=True)
class Finished:
    """How a program ended. Output is undecoded where it is data, decoded where it is for people."""

    code: int
    stdout: bytes
    stderr: str


async def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    stdout: int | None = None,
    on_line: OnOutput | None = None,
    merged: bool = False,
) -> Finished:
    """Run a program to its end. With `stdout` (a descriptor) its output goes there; `on_line` gets each line of
    standard error as it comes; `merged` makes both one stream, standard error. Raises `Unavailable` when the
    program is not installed."""
    out_to = asyncio.subprocess.PIPE if stdout is None else stdout
    err_to = asyncio.subprocess.STDOUT if merged else asyncio.subprocess.PIPE
    async with _started(argv, env, stdin, out_to, err_to) as process:
        data, lines = (None, process.stdout) if merged else (process.stdout, process.stderr)
        out, err, _ = await asyncio.gather(_read(data), _read_lines(lines, on_line), _feed(process, stdin))
        code = await process.wait()
    if code == NOT_FOUND and "setpriv" in err:
        raise _missing(argv[0])
    return Finished(code, out, err)


@asynccontextmanager
async def _started(
    argv: Sequence[str], env: Mapping[str, str] | None, stdin: bytes | None, stdout: int, stderr: int
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *DIE_WITH_PARENT,
        *argv,
        env={**os.environ, **(env or {})},
        stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        await _kill(process)


async def _kill(process: asyncio.subprocess.Process) -> None:
    """And wait until all is gone: the first process of a namespace, which goes last, need not be the program itself."""
    if process.returncode is None:
        started = await asyncio.to_thread(processes.of_session, process.pid)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        await asyncio.gather(*(processes.wait_ended(each, KILLED_SECONDS) for each in started))


async def _read(stream: asyncio.StreamReader | None) -> bytes:
    return await stream.read() if stream else b""


async def _read_lines(stream: asyncio.StreamReader | None, on_line: OnOutput | None) -> str:
    assert stream is not None
    whole, rest = [], ""
    while chunk := await stream.read(65536):
        text = chunk.decode(errors="replace")
        whole.append(text)
        *lines, rest = (rest + text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        for line in lines:
            _tell(on_line, line)
    _tell(on_line, rest)
    return "".join(whole)


def _tell(on_line: OnOutput | None, line: str) -> None:
    if on_line and line:
        on_line(line)


async def _feed(process: asyncio.subprocess.Process, data: bytes | None) -> None:
    if data is None or process.stdin is None:
        return
    with suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(data)
        await process.stdin.drain()
    process.stdin.close()


def _missing(program: str) -> errors.Unavailable:
    message = f"cannot work with images: {program} is not installed; `roost-server doctor` says how to get it"
    return errors.Unavailable(message, reason=Reason.ENGINE_UNAVAILABLE)
