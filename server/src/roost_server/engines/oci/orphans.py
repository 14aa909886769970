"""The server's side of the adopter: commands that run under it, each awaited by its caller."""

import asyncio
import itertools
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from roost_server.domain import errors
from roost_server.engines.oci.linux import adopter

ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "GOMAXPROCS": "1"}


class Command:
    """`ended` is its exit code. `failed` means it never began: the starter's exit code instead."""

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
    return errors.Unavailable("cannot learn how the command ended: its parent process went away; try again")


class Orphans:
    """One adopter process, started when first needed and again should it die."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._commands: dict[int, Command] = {}
        self._numbers = itertools.count(1)

    def start(self) -> None:
        """Have an adopter ready, so that the first command does not wait for it."""
        if self._socket is None:
            self._begin()

    def run(self, argv: list[str], pid_file: Path, stdio: list[int]) -> Command:
        """Start `argv` (absolute path first), which ends after it wrote its child's id to `pid_file`.

        `stdio` are the three descriptors of the child; the caller closes its own copies.
        """
        server = self._socket or self._begin()
        number, command = next(self._numbers), Command()
        request = {"id": number, "argv": argv, "env": ENVIRONMENT, "pid_file": str(pid_file)}
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
        ours.setblocking(False)
        asyncio.get_running_loop().add_reader(ours.fileno(), self._hear)
        self._socket = ours
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
            self.close()
            return
        answer = json.loads(data)
        command = self._commands.get(answer["id"])
        if command and command.hear(answer):
            self._commands.pop(answer["id"], None)

    def close(self) -> None:
        """End the adopter. Commands go on, but nobody learns how they end."""
        if self._socket is None or self._process is None:
            return
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()
        self._process.wait()
        self._socket = None
        for command in self._commands.values():
            command.lose()
        self._commands.clear()
