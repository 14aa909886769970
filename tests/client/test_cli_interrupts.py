"""Ctrl-C while a command waits for what the server does, on a terminal, where it shows that it waits."""

import json
import os
import pty
import signal
import subprocess
import sys
from contextlib import suppress
from typing import Any

import pytest
from support.installation import until

from client.conftest import Command
from client.installation import Installation

pytestmark = pytest.mark.slow

SLOW = "ROOST_SIMULATED_FAULT=never_healthy"


class Terminal:
    """A command whose stderr is a terminal."""

    def __init__(self, server: Installation, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        os.set_blocking(self._ours, False)
        self._shown = b""
        command = [sys.executable, "-m", "roost.cli.main", *arguments]
        environ = server.environ | {"TERM": "xterm"}
        self.process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=theirs, text=True)
        os.close(theirs)

    @property
    def shown(self) -> str:
        """All it wrote until now. Where nothing more is there, or nobody any more, reading is an error."""
        with suppress(OSError):
            while piece := os.read(self._ours, 65536):
                self._shown += piece
        return self._shown.decode(errors="replace")

    def interrupt(self) -> tuple[int, str, str]:
        """Exit code, stdout, and what the terminal shows."""
        self.process.send_signal(signal.SIGINT)
        out, _ = self.process.communicate()
        shown = self.shown
        os.close(self._ours)
        return self.process.returncode, out, shown


def asked(roost: Command, name: str) -> Any:
    """What people asked for, as the server has it; nothing while there is no such runtime."""
    ended = roost("inspect", name, "--json")
    if ended.code:
        return None
    read = json.loads(ended.out)
    told = [one["type"] for one in json.loads(roost("events", name, "--json").out)]
    return read["version"], read["revision"], [one["revision"] for one in read["endpoints"]], told.count(RESTARTING)


RESTARTING = "runtime.restarting"


@pytest.mark.parametrize(
    ("command", "doing"),
    [
        ("run --name {name}-new --image hello -e {slow}", "starting"),
        ("deploy {name}-new --image hello -e {slow}", "deploying"),
        ("deploy {name} -e A=2", "deploying"),
        ("scale {name} --min 2", "scaling"),
        ("config set {name} runtime_server.env.A=2", "updating"),
        ("restart {name}", "restarting"),
        ("rollback {name} --to 2", "rolling"),
        ("endpoint update {name} --version 2", "updating"),
        ("endpoint create {name} other", "creating"),
    ],
)
def test_who_stops_waiting_is_told_that_the_change_goes_on(
    roost: Command, server: Installation, name: str, command: str, doing: str
) -> None:
    roost("run", "--name", name, "--image", "hello")
    roost("deploy", name, "-e", SLOW, "--no-wait")
    of = f"{name}-new" if "-new" in command else name
    before = asked(roost, of)
    terminal = Terminal(server, *command.format(name=name, slow=SLOW).split())
    until(lambda: doing in terminal.shown and asked(roost, of) != before)
    code, out, shown = terminal.interrupt()
    told = f"the change goes on in the server; watch it with `roost inspect {of}` or `roost events {of} -f`"
    assert (code, out) == (130, "")
    assert f"roost: {told}" in shown
    roost("rm", name, f"{name}-new", "-f")
