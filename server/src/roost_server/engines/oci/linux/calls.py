"""System calls that Python 3.11 does not wrap: mounts and namespaces, by ctypes. They release the interpreter lock.

Every function raises OSError as the functions of `os` do.
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWNET = 0x40000000
MS_NOATIME = 1024
MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def mount(source: str, target: Path, kind: str, flags: int = 0, options: str = "") -> None:
    """mount(2). `options` is what the file system reads, at most a page."""
    done = _libc.mount(source.encode(), os.fsencode(target), kind.encode(), flags, os.fsencode(options))
    _check(done, str(target))


def unmount(target: Path) -> None:
    """umount2(2), detached if busy. What is not mounted or not there is left alone."""
    if _libc.umount2(os.fsencode(target), 0) == 0:
        return
    if ctypes.get_errno() in (22, 2):  # EINVAL: not a mount point; ENOENT
        return
    _check(_libc.umount2(os.fsencode(target), MNT_DETACH), str(target))


def is_in_memory(path: Path) -> bool:
    """Whether it lies on a tmpfs, which a restart of the machine empties and a sync does not slow down."""
    device = path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        if before.split()[2] == number:
            return after.split()[0] == "tmpfs"
    return False


@contextmanager
def network_namespace(pid: int) -> Iterator[None]:
    """The calling thread is inside the process's network namespace meanwhile."""
    with Path("/proc/thread-self/ns/net").open() as own, Path(f"/proc/{pid}/ns/net").open() as other:
        _check(_libc.setns(other.fileno(), CLONE_NEWNET), f"network namespace of {pid}")
        try:
            yield
        finally:
            _check(_libc.setns(own.fileno(), CLONE_NEWNET), "own network namespace")
