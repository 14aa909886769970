"""inotify: which names of a directory changed, as an asynchronous stream."""

import asyncio
import ctypes
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

MODIFIED, CLOSED_AFTER_WRITE, MOVED_IN, CREATED, DELETED = 0x2, 0x8, 0x80, 0x100, 0x200
TICK_SECONDS = 0.2
_HEADER = struct.Struct("=iIII")

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Change:
    directory: Path
    name: str
    mask: int


class AnyWatcher(Protocol):
    """Directories under watch. Use as a context; `changes()` waits until there may be some."""

    def __enter__(self) -> "AnyWatcher": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def watch(self, directory: Path, mask: int) -> None: ...

    async def changes(self) -> list[Change]: ...


class Watcher:
    """One inotify instance."""

    def __init__(self) -> None:
        self._descriptor = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "inotify_init1")
        self._directories: dict[int, Path] = {}

    def __enter__(self) -> "Watcher":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._descriptor)

    def watch(self, directory: Path, mask: int) -> None:
        """Watch a directory; one that is gone is left out, one already watched gets the new mask."""
        number = _libc.inotify_add_watch(self._descriptor, os.fsencode(directory), mask)
        if number >= 0:
            self._directories[number] = directory
        elif ctypes.get_errno() != 2:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(directory))

    async def changes(self) -> list[Change]:
        """What changed since the last call; waits for at least one change."""
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_reader(self._descriptor, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(self._descriptor)
        return list(self._read())

    def _read(self) -> Iterator[Change]:
        try:
            data = os.read(self._descriptor, 65536)
        except BlockingIOError:
            return
        while data:
            number, mask, _, length = _HEADER.unpack_from(data)
            name = data[_HEADER.size : _HEADER.size + length].rstrip(b"\0").decode(errors="replace")
            data = data[_HEADER.size + length :]
            if number in self._directories:
                yield Change(self._directories[number], name, mask)


class Ticker:
    """Stands in for a watcher where the kernel gives no more of them (128 a user by default): it only looks often."""

    def __enter__(self) -> "Ticker":
        return self

    def __exit__(self, *_: object) -> None:
        return

    def watch(self, directory: Path, mask: int) -> None:
        return

    async def changes(self) -> list[Change]:
        await asyncio.sleep(TICK_SECONDS)
        return []


def open_watcher() -> AnyWatcher:
    """A watcher, or a ticker where there are too many."""
    try:
        return Watcher()
    except OSError:
        return Ticker()
