"""The command as a user types it: runtimes."""

import json
from pathlib import Path

import pytest

from client.conftest import Command

FAULT = "ROOST_SIMULATED_FAULT"


def test_run_shows_where_it_is_and_what_to_do_next(roost: Command, name: str) -> None:
    ended = roost("run", "--name", name, "--image", "registry.example.com/team/hello:v1")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"{name} is active after ")
    assert f"http://{name}--default--default.localhost" in ended.out
    assert f"roost call {name} /" in ended.out
    assert f"roost logs -f {name}" in ended.out


def test_every_option_of_run_reaches_the_configuration(roost: Command, name: str, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("# a comment\nFROM_FILE=1\n\nBOTH=file\nHOME\nNOT_SET_HERE\n")
    ended = roost(
        *("run", "--name", name, "--image", "hello", "--cpus", "0.5", "--memory", "2g", "-e", "BOTH=option=x"),
        *("--env-file", str(tmp_path / "env"), "--port", "3000", "--health-path", "/ready", "-l", "team=x"),
        *("--replicas", "2", "--expose", "9000", "--command", "python -u", "--description", "mine"),
        *("--registry-username", "me", "--registry-password-stdin", "--json", "--", "agent.py", "--debug"),
        stdin="secret\n",
    )
    assert ended.code == 0, ended.err
    runtime = json.loads(ended.out)
    assert (runtime["status"], runtime["replicas"]) == ("active", {"wanted": 2, "ready": 2})
    assert runtime["description"] == "mine"
    config = json.loads(roost("config", "get", name).out)
    assert config["build"] == {
        "profile": "default",
        "provider": "auto",
        "source": {"kind": "image", "ref": "hello"},
        "auth": {"username": "me"},
    }
    assert config["process"] == {
        "command": ["python", "-u"],
        "args": ["agent.py", "--debug"],
        "user": None,
        "workdir": None,
    }
    assert (config["resources"]["cpu_cores"], config["resources"]["memory_mb"]) == (0.5, 2048)
    assert (config["health"]["port"], config["health"]["path"]) == (3000, "/ready")
    env = config["runtime_server"]["env"]
    assert (env["FROM_FILE"], env["BOTH"], "HOME" in env, "NOT_SET_HERE" in env) == ("1", "option=x", True, False)
    assert config["metadata"]["labels"] == {"team": "x"}
    assert config["sandbox"]["exposed_ports"] == [9000]


def test_run_takes_a_file_and_options_win(roost: Command, name: str, tmp_path: Path) -> None:
    document = {"config": {"resources": {"memory_mb": 128, "cpu_cores": 2}}}
    (tmp_path / "config.json").write_text(json.dumps(document))
    roost("run", "--name", name, "-f", str(tmp_path / "config.json"), "--memory", "256")
    config = json.loads(roost("config", "get", name).out)
    assert (config["resources"]["memory_mb"], config["resources"]["cpu_cores"]) == (256, 2)


def test_the_name_comes_from_the_image(roost: Command, name: str) -> None:
    roost("run", "--image", f"registry.example.com:5000/team/{name}:v1")
    assert json.loads(roost("inspect", name, "--json").out)["name"] == name


def test_run_without_waiting_says_how_to_follow(roost: Command, name: str) -> None:
    ended = roost("run", "--name", name, "--no-wait", "-e", f"{FAULT}=never_healthy", "--image", "hello")
    assert (ended.code, ended.out) == (0, f"{name} is creating; follow it with `roost inspect {name}`\n")


def test_a_run_that_fails_tells_the_last_lines_and_what_to_do(roost: Command, name: str) -> None:
    ended = roost("run", "--name", name, "-e", f"{FAULT}=exits_at_once")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(f'roost: runtime "{name}" failed: exited with code 1')
    assert "  exiting with 1\n" in ended.err
    assert f"hint: look closer with `roost logs {name}`" in ended.err


def test_a_wrong_image_says_how_to_correct_it(roost: Command, name: str) -> None:
    ended = roost("run", "--name", name, "--image", "registry.example.com/image_not_found")
    assert ended.code == 1
    assert f"roost config set {name} build.source.ref=IMAGE" in ended.err
    corrected = roost("config", "set", name, "build.source.ref=registry.example.com/there")
    assert (corrected.code, corrected.out) == (0, f"{name}: version 2 serves\n")


def test_a_run_that_takes_too_long_exits_with_5(roost: Command, name: str) -> None:
    ended = roost("run", "--name", name, "--image", "x", "-e", f"{FAULT}=never_healthy", "--timeout", "0.3")
    assert (ended.code, ended.out) == (5, "")
    assert f'runtime "{name}" is still creating after 0.3 s' in ended.err
    assert "it goes on" in ended.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--memory", "lots"], 'write "lots" as MiB'),
        (["--cpus", "many"], "'--cpus'"),
        (["--env", "=x"], 'write "=x" as KEY=VALUE'),
        (["--env", "NOT_SET_HERE"], "invalid value for --env NOT_SET_HERE: NOT_SET_HERE is not set here"),
        (["--label", "x"], 'write "x" as KEY=VALUE'),
        (["--env-file", "/nowhere"], "cannot read /nowhere: No such file"),
        (["--file", "/nowhere"], "cannot read /nowhere: No such file"),
        (["--no-health", "--port", "1"], "no health check"),
        (["--registry-password-stdin"], "give --registry-username too"),
        (["--registry-username", "me"], "pipe the password in"),
        (["--bogus"], "no such option: --bogus"),
        (["--command", "sh -c 'x"], "invalid value for --command: cannot read sh -c 'x: no closing quotation"),
        (
            ["hello", "--", "-v"],
            '"hello" lacks its option, such as --image hello; arguments of the agent stand after --',
        ),
    ],
)
def test_wrong_usage_of_run_exits_with_2_and_names_the_option(roost: Command, options: list[str], told: str) -> None:
    ended = roost("run", "--name", "never", *options)
    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err
    assert "hint: see `roost run --help`" in ended.err


def test_ps_shows_what_runs_and_with_a_what_does_not(roost: Command, name: str) -> None:
    roost("run", "--name", name, "-l", f"story={name}")
    roost("run", "--name", f"{name}-off", "-l", f"story={name}")
    assert roost("shutdown", f"{name}-off").out == f"{name}-off is stopped\n"
    header, *rows = roost("ps", "-l", f"story={name}").out.splitlines()
    assert header.split() == ["NAME", "STATUS", "READY", "VERSION", "AGE", "URL"]
    assert [row.split()[:4] for row in rows] == [[name, "active", "1/1", "1"]]
    assert roost("ps", "-a", "-q", "-l", f"story={name}").out.split() == [f"{name}-off", name]
    assert roost("ps", "--status", "stopped", "-q", "-l", f"story={name}").out.split() == [f"{name}-off"]
    listed = json.loads(roost("ps", "--json", "-l", f"story={name}").out)
    assert [one["name"] for one in listed] == [name]
    assert roost("runtime", "list", "-q", "-l", f"story={name}").out.split() == [name]


def test_an_empty_list_says_how_to_begin(roost: Command) -> None:
    ended = roost("ps", "--label", "story=nobody")
    assert (ended.code, ended.out) == (0, "")
    assert "`roost run` starts one" in ended.err
    assert roost("ps", "--label", "story=nobody", "--json").out == "[]\n"
    assert 'write "story" as KEY=VALUE' in roost("ps", "--label", "story").err
    assert roost("ps", "--label", "story=nobody", "-q").out == ""


def test_inspect_tells_everything(roost: Command, name: str) -> None:
    roost("run", "--name", name, "--image", "hello", "-e", "SECRET=value", "-l", "team=x", "--expose", "9000")
    shown = roost("inspect", name).out
    for told in (
        f"name          {name}",
        "active",
        "image         hello sha256:",
        "1 of 1 ready",
        "GET /health on port 8080",
    ):
        assert told in shown
    assert "team=x" in shown
    assert "SECRET" in shown
    assert "value" not in shown
    assert "://9000-" in shown
    assert "REPLICA" in shown
    read = json.loads(roost("inspect", name, "--json").out)
    assert (read["status"], read["config"]["version"], read["image"]["status"]) == ("active", "v2", "ready")
    assert set(read["replica_list"][0]["phases"]) >= {"queued", "image", "process"}


def test_shutdown_and_boot_and_rm(roost: Command, name: str) -> None:
    roost("run", "--name", name)
    assert json.loads(roost("shutdown", name, "--json").out)["status"] == "stopped"
    assert roost("boot", name).out == f"{name} is active\n"
    assert roost("rm", name).out == f"removed {name}\n"
    assert roost("rm", name).code == 3
    assert roost("rm", "-f", name).code == 0


def test_events_and_versions(roost: Command, name: str) -> None:
    roost("run", "--name", name, "--image", "hello")
    roost("config", "set", name, "resources.memory_mb=256")
    lines = roost("events", name).out.splitlines()
    assert "created with hello" in lines[1]
    assert len(roost("events", name, "-n", "2").out.splitlines()) == 3
    assert json.loads(roost("events", name, "--json", "-n", "1").out)[0]["message"]
    rows = [line.split() for line in roost("versions", name).out.splitlines()[1:]]
    assert [(row[0], row[1], "256" in row) for row in rows] == [("2", "DEFAULT", True), ("1", "DEFAULT", False)]
    assert "DEFAULT keeps it ready" in roost("versions", name).out.splitlines()[2]


def test_an_event_shows_the_last_line_of_the_log_that_it_ends_with(roost: Command, name: str) -> None:
    roost("run", "--name", name, "--image", "hello", "-e", "ROOST_SIMULATED_FAULT=exits_at_once")
    lines = roost("events", name).out.splitlines()
    failed = next(line for line in lines if "replica.failed" in line)
    assert "version 1: exited with code 1; last log lines: … exiting with 1; starting again" in failed
    assert next(line for line in lines if "runtime.error" in line).endswith("exited with code 1")


def test_config_goes_out_and_comes_back(roost: Command, name: str, tmp_path: Path) -> None:
    roost("run", "--name", name, "-e", "A=1")
    before = roost("config", "get", name).out
    assert roost("config", "set", name, "runtime_server.env.B=2", "metadata.labels.n=1").code == 0
    changed = json.loads(roost("config", "get", name).out)
    assert (changed["runtime_server"]["env"], changed["metadata"]["labels"]) == ({"A": "1", "B": "2"}, {"n": "1"})
    assert roost("config", "set", name, "-f", "-", stdin=before).code == 0
    assert roost("config", "get", name).out == before
    (tmp_path / "broken.json").write_text("{")
    assert roost("config", "set", name, "-f", str(tmp_path / "broken.json")).code == 2
    assert roost("config", "set", name).code == 2
    refused = roost("config", "set", name, "resources.colour=red")
    assert (refused.code, "config.resources.colour: unknown field" in refused.err) == (1, True)
