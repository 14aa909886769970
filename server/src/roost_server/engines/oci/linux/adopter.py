"""A small process that becomes the parent of what `runc exec --detach` leaves behind, to learn how it ends.

Only a parent is told an exit code, and making the server a parent of orphans would leave it with everybody's zombies.
It also starts the monitors, which so begin outside the server's cgroups instead of being moved (12 ms a box). This file
runs as a program of its own with nothing but the standard library (one per server); it ends with the socket that it
serves. A request is one packet of JSON with the program's descriptors, which it gets as 0, 1, 2 …; answers:

    {"id": 7, "started": 4711}    {"id": 7, "exit": 0}    {"id": 7, "failed": 255}

An exit of -9 is an end by signal 9.
A request without `pid_file` is only started; nobody is told how it ends.
"""

import array
import fcntl
import json
import os
import select
import signal
import socket
import sys
from pathlib import Path
from typing import Any

MOST_BYTES = 1024 * 1024
MOST_DESCRIPTORS = 4
FIRST_DESCRIPTOR = 16
CANNOT_START = 255


class Adopter:
    def __init__(self, server: socket.socket) -> None:
        self._server = server
        self._starting: dict[int, dict[str, Any]] = {}
        self._running: dict[int, int] = {}
        self._strangers: dict[int, int] = {}

    def receive(self) -> bool:
        """Start what the next packet asks for. False when the server is gone."""
        space = socket.CMSG_SPACE(MOST_DESCRIPTORS * array.array("i").itemsize)
        data, ancillary, _, _ = self._server.recvmsg(MOST_BYTES, space)
        if not data:
            return False
        descriptors = array.array("i")
        for _, _, payload in ancillary:
            descriptors.frombytes(payload[: len(payload) - len(payload) % descriptors.itemsize])
        self._start(json.loads(data), [_out_of_the_way(descriptor) for descriptor in descriptors])
        return True

    def _start(self, request: dict[str, Any], descriptors: list[int]) -> None:
        """What cannot be started is said to have failed; who only has it started sees its descriptors close."""
        try:
            pid = _spawned(request, descriptors)
        except OSError:
            if "pid_file" in request:
                self._answer(request["id"], failed=CANNOT_START)
            return
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        if "pid_file" in request:
            self._starting[pid] = request

    def reap(self) -> None:
        """Tell the server of everything that ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._ended(pid, os.waitstatus_to_exitcode(status))

    def _ended(self, pid: int, code: int) -> None:
        if pid in self._starting:
            self._started(self._starting.pop(pid), code)
        elif pid in self._running:
            self._answer(self._running.pop(pid), exit=code)
        else:
            self._remember(pid, code)

    def _started(self, request: dict[str, Any], code: int) -> None:
        """The starter ended: the command runs, or has ended already, or could not be started."""
        pid = _written(Path(request["pid_file"])) if code == 0 else None
        if pid is None:
            self._answer(request["id"], failed=code or CANNOT_START)
            return
        self._answer(request["id"], started=pid)
        if pid in self._strangers:
            self._answer(request["id"], exit=self._strangers.pop(pid))
        else:
            self._running[pid] = request["id"]

    def _remember(self, pid: int, code: int) -> None:
        """Perhaps a command that was quicker than its starter. Not for longer: process ids are used again."""
        if not self._starting:
            self._strangers.clear()
        else:
            self._strangers[pid] = code

    def _answer(self, request_id: int, **answer: int) -> None:
        self._server.send(json.dumps({"id": request_id, **answer}).encode())


def _spawned(request: dict[str, Any], descriptors: list[int]) -> int:
    actions = [(os.POSIX_SPAWN_DUP2, descriptor, number) for number, descriptor in enumerate(descriptors)]
    argv = request["argv"]
    os.chdir(request["cwd"])
    try:
        return os.posix_spawn(argv[0], argv, request["env"], file_actions=actions, setsigmask=[])
    finally:
        os.chdir("/")


def _written(pid_file: Path) -> int | None:
    """None when it is gone, with the box perhaps: one that is removed must not take down everybody's adopter."""
    try:
        return int(pid_file.read_text())
    except (OSError, ValueError):
        return None


def _out_of_the_way(descriptor: int) -> int:
    """A copy that no program inherits and whose number no program is to have."""
    copy = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, FIRST_DESCRIPTOR)
    os.close(descriptor)
    return copy


def adopt_orphans() -> None:
    """prctl(PR_SET_CHILD_SUBREAPER)."""
    import ctypes

    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)


def main(descriptor: int) -> None:
    adopt_orphans()
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    with socket.socket(fileno=descriptor) as server:
        server.set_inheritable(False)
        adopter = Adopter(server)
        while True:
            ready, _, _ = select.select([server.fileno(), reading], [], [])
            if reading in ready:
                os.read(reading, 4096)
                adopter.reap()
            if server.fileno() in ready and not adopter.receive():
                return


if __name__ == "__main__":
    main(int(sys.argv[1]))
