"""Processes by identity: a process id together with when it began, since ids are used again."""

import asyncio
import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

KILLED_SECONDS = 10.0
"""How long the end of a process that was killed is waited for: it may be in the midst of a system call."""


@dataclass(frozen=True)
class Process:
    """`began` is in clock ticks since the machine started."""

    pid: int
    began: int


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/<pid>/stat after the name: state first."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")  # names are any bytes
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def identify(pid: int) -> Process | None:
    """The process that lives under this id now; None when it ended, reaped or not."""
    fields = _stat(pid)
    return None if fields is None or fields[0] in "ZX" else Process(pid, int(fields[19]))


def is_alive(process: Process) -> bool:
    return identify(process.pid) == process


def parent_of(pid: int) -> Process | None:
    fields = _stat(pid)
    return None if fields is None else identify(int(fields[1]))


@contextmanager
def _descriptor(process: Process) -> Iterator[int | None]:
    """A pidfd, or None when the process ended. Opened before the check, so it cannot be another's."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        yield None
        return
    try:
        yield descriptor if is_alive(process) else None
    finally:
        os.close(descriptor)


def send(process: Process, number: int) -> None:
    """Send a signal; one that ended gets none."""
    with _descriptor(process) as descriptor:
        if descriptor is not None:
            try:
                signal.pidfd_send_signal(descriptor, number)
            except ProcessLookupError:
                return


def end(process: Process, seconds: float) -> None:
    """Kill it, if it does not end within the time by itself, and wait until it is gone. Blocks."""
    with _descriptor(process) as descriptor:
        if descriptor is not None and not _blocked_on(descriptor, seconds):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            _blocked_on(descriptor, KILLED_SECONDS)


def _blocked_on(descriptor: int, seconds: float) -> bool:
    """Whether the process ended within the time."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


async def wait_ended(process: Process, seconds: float) -> bool:
    """Whether it ended within the time. Waits for the event, does not poll."""
    with _descriptor(process) as descriptor:
        if descriptor is None:
            return True
        return await _readable(descriptor, seconds)


async def _readable(descriptor: int, seconds: float) -> bool:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await asyncio.wait_for(ended.wait(), seconds)
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(descriptor)
    return True


def boot_id() -> str:
    """Changes with every start of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def of_session(leader: int) -> list[Process]:
    """Processes that live in the session which that process began. Reads all of /proc."""
    found = []
    for entry in Path("/proc").iterdir():
        fields = _stat(int(entry.name)) if entry.name.isdigit() else None
        if fields is not None and int(fields[3]) == leader and (process := identify(int(entry.name))):
            found.append(process)
    return found


def all_with_arguments(*wanted: str) -> list[Process]:
    """Processes whose command line holds these arguments, next to each other. Reads all of /proc."""
    needle = b"\0".join(word.encode() for word in ("", *wanted, ""))
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and needle in _command_line(entry):
            process = identify(int(entry.name))
            found += [process] if process else []
    return found


def holds_argument(pid: int, wanted: str) -> bool:
    """Whether the process's command line holds this argument."""
    return wanted.encode() in _command_line(Path(f"/proc/{pid}")).split(b"\0")


def _command_line(entry: Path) -> bytes:
    try:
        return (entry / "cmdline").read_bytes()
    except OSError:
        return b""
