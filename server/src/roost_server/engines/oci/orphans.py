"""The server's side of the adopter: monitors that it starts, and commands whose callers wait for their end."""

import asyncio
import itertools
import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

from roost_server.domain import errors
from roost_server.engines.oci import programs
from roost_server.engines.oci.linux import adopter

SHORT_LIFE_SECONDS = 1.0
SEND_BUFFER = 32  # SO_SNDBUFFORCE: root may have more than others
MOST_WAITING_BYTES = 8 * 1024 * 1024
"""Of requests that the adopter has not read yet: thousands, however slow it is at the moment."""


class Command:
    """`ended` is its exit code, -9 when signal 9 ended it. `failed` means it never began: the starter's instead."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.started: asyncio.Future[bool] = loop.create_future()
        self.ended: asyncio.Future[int] = loop.create_future()

    def hear(self, answer: dict[str, Any]) -> bool:
        """Take an answer in. Whether it was the last."""
        if "started" in answer:
            _settle(self.started, True)
            return False
        _settle(self.started, "exit" in answer)
        _settle(self.ended, answer.get("exit", answer.get("failed")))
        return True

    def lose(self) -> None:
        """The adopter is gone and nobody will ever know."""
        for future in (self.started, self.ended):
            if not future.done():
                future.set_exception(_gone())
                future.exception()


def _settle(future: "asyncio.Future[Any]", value: Any) -> None:
    if not future.done():
        future.set_result(value)


def _gone() -> errors.Unavailable:
    return errors.Unavailable("cannot learn how it ended: the process that started it went away; try again")


class Orphans:
    """One adopter process; should it die, another takes its place."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._commands: dict[int, Command] = {}
        self._numbers = itertools.count(1)
        self._place: Callable[[int], None] = lambda _: None
        self._began = 0.0
        self._later: asyncio.TimerHandle | None = None

    def start(self, place: Callable[[int], None]) -> None:
        """Have an adopter. `place` puts it, by its process id, where monitors are to live."""
        self._place = place
        self._begin()

    def spawn(self, argv: list[str], env: dict[str, str], cwd: Path, descriptors: list[int]) -> None:
        """Start a program (absolute path first) and forget it. May be called from any thread."""
        request = {"id": 0, "argv": argv, "env": env, "cwd": str(cwd)}
        if self._socket is None:
            raise _gone()
        socket.send_fds(self._socket, [json.dumps(request).encode()], descriptors)

    def run(self, argv: list[str], pid_file: Path, stdio: list[int]) -> Command:
        """Start `argv` (absolute path first), which ends after it wrote its child's id to `pid_file`.

        `stdio` are the three descriptors of the child; the caller closes its own copies.
        """
        server = self._socket or self._begin()
        number, command = next(self._numbers), Command()
        request = {"id": number, "argv": argv, "env": programs.ENVIRONMENT, "cwd": "/", "pid_file": str(pid_file)}
        socket.send_fds(server, [json.dumps(request).encode()], stdio)
        self._commands[number] = command
        return command

    def _begin(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", adopter.__file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                stdin=subprocess.DEVNULL,
            )
        self._place(self._process.pid)
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, SEND_BUFFER, MOST_WAITING_BYTES)
        asyncio.get_running_loop().add_reader(ours.fileno(), self._hear)
        self._socket, self._began = ours, monotonic()
        return ours

    def _hear(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._replace()
            return
        answer = json.loads(data)
        command = self._commands.get(answer["id"])
        if command and command.hear(answer):
            self._commands.pop(answer["id"], None)

    def _replace(self) -> None:
        """It died. One that cannot live is tried again when it is needed for a command, or after a while."""
        lived = monotonic() - self._began
        self._drop()
        if lived > SHORT_LIFE_SECONDS:
            self._begin()
        else:
            self._later = asyncio.get_running_loop().call_later(SHORT_LIFE_SECONDS, self._begin_if_none)

    def _begin_if_none(self) -> None:
        if self._socket is None:
            self._begin()

    def close(self) -> None:
        """End the adopter. Commands go on, but nobody learns how they end."""
        if self._later is not None:
            self._later.cancel()
        self._drop()

    def _drop(self) -> None:
        if self._socket is None or self._process is None:
            return
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()
        self._process.wait()
        self._socket = None
        for command in self._commands.values():
            command.lose()
        self._commands.clear()
