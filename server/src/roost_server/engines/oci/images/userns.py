"""Run something in a user namespace whose root is an unprivileged user of the host.

Layers and Dockerfiles come from strangers. Whatever reads them runs here: as host user `map_start`, in mount and
process namespaces of its own that vanish with it, so nothing it does can touch the host and a kill leaves nothing.
Standard library only, since it also runs as a program: `userns MAP_START [--bind SOURCE=NAME]… -- COMMAND…`.
Binds appear as /mnt/NAME, reachable even when the way to SOURCE is closed to the mapped user.
"""

import ctypes
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

MAP_SIZE = 65536
MOUNTS = "/mnt"
HIDDEN = ("/etc/containers/registries.d", "/var/lib/containers", "/var/cache/containers")
"""The host's own container storage, closed to the mapped user: programs that look there must find nothing instead."""
CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID = 0x20000, 0x10000000, 0x20000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 0x1000, 0x4000, 0x40000
PR_SET_PDEATHSIG, SIGKILL = 1, 9

_libc = ctypes.CDLL(None, use_errno=True)


def run(map_start: int, child: Callable[[], int], binds: Sequence[tuple[str, str]] = (), *, proc: bool = False) -> int:
    """Run `child` in the namespaces and return its exit status. `proc` mounts a fresh /proc for it."""
    die_with_parent()
    _own_mounts(binds)
    child_ready, child_tells = os.pipe()
    parent_tells, parent_ready = os.pipe()
    pid = os.fork()
    if pid == 0:
        os._exit(_enter(child, child_tells, parent_tells, proc))
    os.read(child_ready, 1)
    for kind in ("uid", "gid"):
        Path(f"/proc/{pid}/{kind}_map").write_text(f"0 {map_start} {MAP_SIZE}\n")
    os.write(parent_ready, b".")
    return _wait(pid)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends."""
    _check(_libc.prctl(PR_SET_PDEATHSIG, SIGKILL))


def _own_mounts(binds: Sequence[tuple[str, str]]) -> None:
    _check(_libc.unshare(CLONE_NEWNS))
    _mount(None, "/", None, MS_REC | MS_PRIVATE)
    if binds:
        for path in (MOUNTS, *(path for path in HIDDEN if Path(path).is_dir())):
            _mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
    for source, name in binds:
        target = Path(MOUNTS, name)
        target.mkdir() if Path(source).is_dir() else target.touch()
        _mount(source, str(target), None, MS_BIND)


def _enter(child: Callable[[], int], tell: int, told: int, proc: bool) -> int:
    _check(_libc.unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID))
    os.write(tell, b".")
    os.read(told, 1)
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    die_with_parent()
    first = os.fork()
    if first == 0:
        os._exit(_first_process(child, proc))
    return _wait(first)


def _first_process(child: Callable[[], int], proc: bool) -> int:
    die_with_parent()
    if proc:
        _mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    return child()


def _wait(pid: int) -> int:
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code if code >= 0 else 128 - code


def _mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    encoded = [value.encode() if value is not None else None for value in (source, target, kind, data)]
    _check(_libc.mount(*encoded[:3], ctypes.c_ulong(flags), encoded[3]), target)


def _check(result: int, what: str = "") -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def _exec(command: Sequence[str]) -> Callable[[], int]:
    def child() -> int:
        os.chdir("/")
        try:
            os.execvp(command[0], list(command))
        except FileNotFoundError:
            print(f"setpriv: failed to execute {command[0]}: No such file or directory", file=sys.stderr)
        return 127

    return child


def main(argv: Sequence[str]) -> int:
    """`MAP_START [--bind SOURCE=NAME]… -- COMMAND…`; exits as the command does."""
    split = list(argv).index("--")
    options, command = list(argv[:split]), list(argv[split + 1 :])
    binds = [option.rsplit("=", 1) for option in options[1:] if option != "--bind"]
    return run(int(options[0]), _exec(command), [(source, name) for source, name in binds], proc=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
