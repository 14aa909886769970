"""The command itself: how it fails, logs in, completes, starts."""

import json
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from client.conftest import Command
from client.installation import Installation, refusing_port

Spawn = Callable[..., "subprocess.Popen[str]"]


def test_what_is_not_found_exits_with_3(roost: Command) -> None:
    ended = roost("inspect", "nobody")
    assert (ended.code, ended.out) == (3, "")
    assert ended.err == 'roost: cannot find runtime "nobody"\n  hint: see which there are with `roost ps -a`\n'


@pytest.mark.parametrize("word", ["", ".", ".."])
def test_no_name_reaches_another_path(roost: Command, name: str, word: str) -> None:
    roost("run", "--name", name)
    for command in (["inspect"], ["rm"], ["endpoint", "delete", name], ["endpoint", "get", name], ["image", "rm"]):
        ended = roost(*command, word)
        assert (ended.code, ended.err) == (1, f'roost: cannot ask for "{word}": nothing has that name\n')
    assert roost("inspect", name).code == 0


def test_errors_in_json_are_the_envelope(roost: Command) -> None:
    ended = roost("inspect", "nobody", "--json")
    envelope = json.loads(ended.err)
    assert (ended.code, ended.out) == (3, "")
    assert (envelope["code"], envelope["type"]) == (404, "not_found_error")
    assert envelope["request_id"]


def test_wrong_usage_in_json_too(roost: Command) -> None:
    ended = roost("ps", "--json", "--bogus")
    assert (ended.code, ended.err.startswith("roost: no such option")) == (2, True)
    ended = roost("logs", "--json", "x", "--since", "yesterday")
    assert (ended.code, json.loads(ended.err)["type"]) == (2, "usage_error")


def test_a_server_that_is_not_there_exits_with_4(roost: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    with refusing_port() as port:
        monkeypatch.setenv("ROOST_URL", f"http://127.0.0.1:{port}")
        ended = roost("ps")
        assert (ended.code, ended.out) == (4, "")
        assert "cannot reach the Roost server" in ended.err
        assert "hint: start it with" in ended.err
        assert json.loads(roost("ps", "--json").err)["type"] == "unreachable_error"


def test_a_wrong_token_says_how_to_log_in(roost: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOST_TOKEN", "wrong")
    ended = roost("ps")
    assert (ended.code, "`roost login`" in ended.err) == (1, True)


def test_several_wrong_fields_are_all_named(roost: Command) -> None:
    ended = roost("run", "--name", "never", "--memory", "1", "--cpus", "1000")
    assert ended.code == 1
    assert "config.resources.memory_mb: " in ended.err
    assert "config.resources.cpu_cores: " in ended.err


def test_another_workspace_is_asked_for(roost: Command) -> None:
    ended = roost("--workspace", "elsewhere", "ps")
    assert (ended.code, 'workspace "elsewhere"' in ended.err) == (3, True)


def test_login_checks_and_stores_the_token(
    roost: Command, server: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert roost("ps").code != 0
    assert roost("login", server.url, "--token-stdin", stdin="wrong\n").code == 1
    assert not (tmp_path / "roost/config.toml").exists()
    ended = roost("login", server.url, "--token-stdin", stdin=f"{server.token}\n")
    path = tmp_path / "roost/config.toml"
    assert ended.out == f"logged in to {server.url}; stored in {path}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert roost("ps").code == 0
    assert server.url in roost("version").out


def test_a_typo_is_met_with_a_suggestion(roost: Command) -> None:
    ended = roost("inspct", "x")
    assert (ended.code, "did you mean 'inspect'" in ended.err.lower()) == (2, True)


def test_names_are_completed(roost: Command, server: Installation, name: str, spawn: Spawn) -> None:
    roost("run", "--name", name)
    words = {"COMP_WORDS": f"roost logs {name[:6]}", "COMP_CWORD": "2", "_ROOST_COMPLETE": "complete_bash"}
    with spawn(**words) as process:
        out, _ = process.communicate()
    assert name in out.split()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_ask_the_command(roost: Command, shell: str) -> None:
    ended = roost("completion", shell)
    assert (ended.code, f"_ROOST_COMPLETE=complete_{shell}" in ended.out) == (0, True)


def test_a_reader_that_leaves_ends_it_quietly(spawn: Spawn, roost: Command, name: str) -> None:
    roost("run", "--name", name)
    with spawn("logs", "-f", name) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        roost("shutdown", name)
        roost("boot", name)
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


@pytest.mark.parametrize(("arguments", "unwanted"), [(["--help"], {"httpx", "rich"}), (["ps"], {"rich", "pydantic"})])
def test_a_start_imports_little(server: Installation, arguments: list[str], unwanted: set[str]) -> None:
    import sys

    code = f"import sys; from roost.cli.main import run; run({arguments!r}); print(sorted(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", code], env=server.environ, capture_output=True, text=True, check=True)
    assert not unwanted & {one.split(".")[0] for one in eval(ended.stdout.splitlines()[-1])}
