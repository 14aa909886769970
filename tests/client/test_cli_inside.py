"""The command as a user types it: inside a runtime."""

import json
import signal
import subprocess
from collections.abc import Callable

import pytest

from client.conftest import Command


@pytest.fixture
def hello(roost: Command, name: str) -> str:
    roost("run", "--name", name, "--image", "hello", "-e", "MODEL=small")
    return name


def test_exec_passes_output_and_exit_code_through(roost: Command, hello: str) -> None:
    assert roost("exec", hello, "--", "echo", "hi", "-n") == roost("exec", hello, "echo", "hi", "-n")
    assert roost("exec", hello, "--", "echo", "hi", "-n").out == "hi -n\n"
    assert roost("exec", hello, "--", "false").code == 1
    missing = roost("exec", hello, "--", "nothing")
    assert (missing.code, missing.out, missing.err) == (127, "", '"nothing" was not found\n')


def test_exec_takes_options_on_both_sides_of_the_name(roost: Command, hello: str) -> None:
    assert "X=1" in roost("exec", "-e", "X=1", hello, "env").out.splitlines()
    assert "X=1" in roost("exec", hello, "-e", "X=1", "--", "env").out.splitlines()
    assert "MODEL=small" in roost("exec", hello, "env").out.splitlines()
    assert roost("exec", hello, "echo", "--", "-e").out == "-- -e\n"
    assert roost("exec", hello, "--bogus", "--", "env").code == 2
    assert roost("exec", hello).code == 2


def test_exec_hands_over_standard_input(roost: Command, hello: str) -> None:
    assert roost("exec", "-i", hello, "cat", stdin="data\n").out == "data\n"
    assert roost("exec", hello, "cat", stdin="data\n").out == ""
    refused = roost("exec", "-i", hello, "cat", stdin=b"\xff")
    assert (refused.code, "not UTF-8" in refused.err) == (1, True)


def test_exec_says_when_it_cut_or_killed(roost: Command, hello: str) -> None:
    cut = roost("exec", hello, "--max-output", "2", "--", "echo", "long")
    assert (cut.code, cut.out) == (0, "lo")
    assert "--max-output" in cut.err
    killed = roost("exec", hello, "--timeout", "0.1", "--", "sleep", "5")
    assert killed.code == 124
    assert "killed after 0.1 s" in killed.err


def test_exec_says_which_signal_ended_the_command(roost: Command, hello: str) -> None:
    killed = roost("exec", hello, "--", "kill", "-9")
    assert (killed.code, killed.out, killed.err) == (137, "", "roost: the command was killed by signal 9\n")
    assert json.loads(roost("exec", hello, "--json", "--", "kill", "-9").out)["signal"] == 9


def test_exec_in_json(roost: Command, hello: str) -> None:
    ended = roost("exec", hello, "--json", "--", "false")
    assert ended.code == 1
    assert json.loads(ended.out)["exit_code"] == 1


def test_exec_where_nothing_runs_says_so(roost: Command, hello: str) -> None:
    roost("shutdown", hello)
    ended = roost("exec", hello, "true")
    assert (ended.code, "it is stopped" in ended.err) == (1, True)


def test_logs_are_searched(roost: Command, hello: str) -> None:
    roost("shutdown", hello)
    roost("boot", hello)
    assert roost("logs", hello).out == "started the image\n" * 2
    assert roost("logs", hello, "--tail", "1").out == "started the image\n"
    assert roost("logs", hello, "--tail", "0").out == ""
    assert roost("logs", hello, "--grep", "STARTED", "--since", "1h").out == "started the image\n" * 2
    assert roost("logs", hello, "--stream", "stderr").out == ""
    assert roost("logs", hello, "--until", "1h").out == ""
    lines = [json.loads(line) for line in roost("logs", hello, "--json").out.splitlines()]
    assert [line["stream"] for line in lines] == ["stdout", "stdout"]
    assert (
        roost("logs", hello, "--replica", lines[0]["replica_id"], "-t").out == f"{lines[0]['time']} started the image\n"
    )
    assert roost("logs", hello, "--since", "yesterday").code == 2


@pytest.mark.parametrize("options", [[], ["--tail", "1"], ["--since", "1h"]])
def test_logs_follow_until_interrupted(
    roost: Command, hello: str, spawn: Callable[..., "subprocess.Popen[str]"], options: list[str]
) -> None:
    with spawn("logs", "-f", hello, *options) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started the image\n"
        roost("shutdown", hello)
        roost("boot", hello)
        assert process.stdout.readline() == "started the image\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert (process.returncode, err) == (130, "")
