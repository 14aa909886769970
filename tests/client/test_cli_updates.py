"""The command as a user types it: deploy, rollback, versions, diff, scale, restart."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from client.conftest import Command

pytestmark = pytest.mark.slow

FAULT = "ROOST_SIMULATED_FAULT"


def config(roost: Command, name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(roost("config", "get", name).out)
    return read


def inspect(roost: Command, name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(roost("inspect", name, "--json").out)
    return read


@pytest.fixture
def running(roost: Command, name: str) -> str:
    """A runtime of version 1, of an image."""
    assert roost("run", "--name", name, "--image", "hello", "-e", "A=1", "-e", "B=1", "--memory", "256").code == 0
    return name


def test_deploy_says_what_serves_and_how_to_go_back(roost: Command, running: str) -> None:
    ended = roost("deploy", running, "-e", "A=2", "--unset-env", "B", "--image", "hello:v2", "--cpus", "0.5")
    assert (ended.code, ended.err) == (0, "")
    back = f"`roost rollback {running}`"
    assert ended.out == f"{running}: version 2 serves; version 1 stays ready for 10 minutes: {back}\n"
    after = config(roost, running)
    assert after["runtime_server"]["env"] == {"A": "2"}
    assert after["build"]["source"]["ref"] == "hello:v2"
    assert (after["resources"]["cpu_cores"], after["resources"]["memory_mb"]) == (0.5, 256)


def test_deploy_of_a_variable_without_a_value_makes_no_version(roost: Command, running: str) -> None:
    ended = roost("deploy", running, "--env", "NOT_SET_HERE")
    assert (ended.code, ended.out) == (2, "")
    assert "invalid value for --env NOT_SET_HERE: NOT_SET_HERE is not set here" in ended.err
    assert inspect(roost, running)["version"] == 1


def test_a_word_without_its_option_is_not_taken_for_an_argument(roost: Command, running: str) -> None:
    ended = roost("deploy", running, "hello:v2")
    assert (ended.code, '"hello:v2" lacks its option' in ended.err) == (2, True)
    assert inspect(roost, running)["version"] == 1


def test_deploy_creates_what_is_not_there(roost: Command, name: str) -> None:
    ended = roost("deploy", name, "--image", "hello", "--json", "--", "--debug")
    assert (ended.code, json.loads(ended.out)["status"]) == (0, "active")
    assert config(roost, name)["process"]["args"] == ["--debug"]


def test_what_builds_on_the_latest_says_so_while_another_version_serves(roost: Command, running: str) -> None:
    roost("deploy", running, "-e", "A=2")
    roost("rollback", running)
    hint = (
        "roost: this builds on version {}, the latest, while DEFAULT serves version 1; "
        f"to build on what serves: roost deploy {running} --from-version 1\n"
    )
    assert roost("deploy", running, "-e", "C=3").err == hint.format(2)
    assert roost("scale", running, "--min", "1").err == hint.format(3)
    assert roost("config", "set", running, "resources.memory_mb=128").err == hint.format(4)
    assert roost("deploy", running, "--json").err == roost("scale", running).err == ""
    assert roost("deploy", running, "--from-version", "1", "-e", "C=3").err == ""
    assert config(roost, running)["runtime_server"]["env"] == {"A": "1", "B": "1", "C": "3"}
    roost("endpoint", "update", running, "--latest")
    assert roost("deploy", running, "-e", "C=4").err == ""


@pytest.mark.parametrize("option", [["--from-version", "1"], ["--no-apply"]])
def test_what_needs_a_version_that_serves_is_refused_for_a_new_runtime(
    roost: Command, name: str, option: list[str]
) -> None:
    ended = roost("deploy", name, *option)
    assert (ended.code, f'there is no runtime "{name}" yet' in ended.err) == (2, True)


def test_deploy_begins_with_another_version_or_a_file(roost: Command, running: str, tmp_path: Path) -> None:
    roost("deploy", running, "-e", "A=2")
    roost("deploy", running, "--from-version", "1", "-e", "C=3")
    assert config(roost, running)["runtime_server"]["env"] == {"A": "1", "B": "1", "C": "3"}
    (tmp_path / "config.json").write_text(json.dumps({"resources": {"memory_mb": 128}}))
    roost("deploy", running, "-f", str(tmp_path / "config.json"), "--cpus", "2")
    after = config(roost, running)
    assert (after["resources"]["memory_mb"], after["resources"]["cpu_cores"]) == (128, 2)
    assert after["build"]["source"]["kind"] == "builtin"
    assert roost("deploy", running, "-f", "x", "--from-version", "1").code == 2
    assert roost("deploy", running, "--from-version", "9").code == 3


def test_another_kind_of_image_gets_the_probe_that_suits_it(roost: Command, name: str) -> None:
    roost("run", "--name", name)
    assert config(roost, name)["health"] is None
    roost("deploy", name, "--image", "hello")
    assert config(roost, name)["health"]["path"] == "/health"
    roost("deploy", name, "--image", "builtin:runtime", "--health-path", "/up")
    assert config(roost, name)["health"]["path"] == "/up"
    roost("deploy", name, "--image", "hello", "--no-health")
    assert config(roost, name)["health"] is None


def test_a_version_that_does_not_start_is_told_and_changes_nothing(roost: Command, running: str) -> None:
    ended = roost("deploy", running, "-e", f"{FAULT}=exits_at_once")
    assert (ended.code, ended.out) == (1, "")
    assert "version 2 did not start" in ended.err and "version 1 keeps serving" in ended.err
    assert roost("rollback", running).out.startswith(f"{running}: version 1 serves")
    assert inspect(roost, running)["status"] == "active"


def test_a_version_that_is_only_recorded_waits_for_a_restart(roost: Command, running: str) -> None:
    ended = roost("deploy", running, "-e", "A=2", "--no-apply")
    assert ended.out.splitlines() == [
        f"{running}: version 1 serves",
        f"version 2 is recorded; `roost restart {running}` applies it",
        f"  or step by step: roost canary start {running} --to 2",
    ]
    assert "recorded; `roost restart" in roost("inspect", running).out
    assert notes(roost, running)[2] == "recorded, not applied"
    assert in_ps(roost, running)[3:6] == ["1", "(latest", "2)"]
    assert roost("restart", running).out == f"{running} is active, version 2 serves\n"
    assert notes(roost, running)[2] == ""
    assert inspect(roost, running)["endpoints"][0]["version"] == 2


def test_deploy_to_a_pinned_endpoint_says_so_and_how_to_let_it_follow(roost: Command, running: str) -> None:
    roost("endpoint", "update", running, "--version", "1")
    out = roost("deploy", running, "-e", "A=2").out
    assert "version 2 is made, but DEFAULT is pinned to version 1" in out
    assert (
        "version 3 is made, but DEFAULT is pinned to version 1"
        in roost(*("config", "set", running, "resources.memory_mb=512")).out
    )
    command = out.splitlines()[-1].split()
    assert command == ["roost", "endpoint", "update", running, "DEFAULT", "--latest"]
    assert roost(*command[1:]).out.startswith(f"{running}: version 3 serves; version 1 stays ready")


def test_a_version_recorded_beside_a_pinned_endpoint_is_not_promised_by_a_restart(roost: Command, running: str) -> None:
    roost("endpoint", "update", running, "--version", "1")
    lines = roost("deploy", running, "--no-apply").out.splitlines()
    assert lines[1:] == [
        "version 2 is recorded, but DEFAULT is pinned to version 1; to let it serve version 2:",
        f"  roost endpoint update {running} DEFAULT --version 2",
        f"  or step by step: roost canary start {running} --to 2",
    ]
    assert "2 (not served: no endpoint follows the latest)" in roost("inspect", running).out
    assert roost(*lines[2].split()[1:]).out.startswith(f"{running}: version 2 serves")
    assert "version       2\n" in roost("inspect", running).out


def test_a_deploy_beside_a_canary_points_to_the_canary(roost: Command, running: str) -> None:
    roost("deploy", running, "--no-apply")
    roost("canary", "start", running, "--to", "2")
    refused = roost("deploy", running)
    assert (refused.code, "or only record the version (`roost deploy --no-apply`" in refused.err) == (1, True)
    told = f"version 3 is recorded; a canary moves the traffic now, see `roost canary show {running}`"
    assert roost("deploy", running, "--no-apply").out.splitlines()[1:] == [told]


def test_deploy_to_a_stopped_runtime_says_how_to_start_it(roost: Command, running: str) -> None:
    roost("shutdown", running)
    assert roost("deploy", running).out == f"{running} is stopped; `roost boot {running}` starts version 2\n"
    roost("boot", running)
    assert inspect(roost, running)["endpoints"][0]["version"] == 2


def test_deploy_to_a_stopped_runtime_whose_endpoint_is_pinned_promises_nothing_of_a_boot(
    roost: Command, running: str
) -> None:
    roost("endpoint", "update", running, "--version", "1")
    roost("shutdown", running)
    for options in ((), ("--no-apply",)):
        first, why, how = roost("deploy", running, *options).out.splitlines()
        assert (first, "is made, but DEFAULT is pinned to version 1" in why) == (f"{running} is stopped", True)
    assert in_ps(roost, running, "-a")[3:6] == ["1", "(latest", "3)"]
    roost("boot", running)
    assert inspect(roost, running)["endpoints"][0]["version"] == 1
    roost("shutdown", running)
    roost(*how.split()[1:])
    roost("boot", running)
    assert inspect(roost, running)["endpoints"][0]["version"] == 3


def test_deploy_without_waiting_says_how_to_follow(roost: Command, running: str) -> None:
    ended = roost("deploy", running, "-e", f"{FAULT}=never_healthy", "--no-wait")
    assert ended.out == f"{running} is updating; follow it with `roost inspect {running}`\n"


def test_rollback_says_how_long_it_took_and_that_it_pins(roost: Command, running: str) -> None:
    roost("deploy", running)
    first, *rest = roost("rollback", running).out.splitlines()
    assert re.fullmatch(rf"{running}: version 1 serves; version 2 stays ready .*` \(took \d+\.\d\d s\)", first)
    assert rest[-1].strip() == f"roost endpoint update {running} DEFAULT --latest"
    read = json.loads(roost("rollback", running, "--to", "2", "--json").out)
    assert (read["endpoint"]["version"], read["seconds"] > 0) == (2, True)


def test_rollback_of_another_endpoint_and_to_nothing(roost: Command, running: str) -> None:
    assert roost("rollback", running).code == 1
    roost("deploy", running)
    roost("endpoint", "create", running, "canary")
    assert roost("rollback", running, "--endpoint", "canary").out.startswith(f"canary of {running}: version 1 serves")
    assert roost("rollback", running, "--to", "9").code == 1
    assert roost("rollback", running, "--endpoint", "missing").code == 3


def test_versions_show_what_each_serves(roost: Command, running: str) -> None:
    roost("deploy", running)
    roost("deploy", running)
    roost("endpoint", "create", running, "canary", "--version", "1")
    roost("endpoint", "update", running, "--split", "2=90,3=10")
    header, *rows = roost("versions", running).out.splitlines()
    start, end = header.index("SERVES"), header.index("IMAGE")
    assert [(row.split()[0], row[start:end].strip()) for row in rows] == [
        ("3", "DEFAULT 10 %"),
        ("2", "DEFAULT 90 %"),
        ("1", "canary"),
    ]
    assert [one["version"] for one in json.loads(roost("versions", running, "--json").out)] == [3, 2, 1]


def in_ps(roost: Command, name: str, *options: str) -> list[str]:
    """The words of its line."""
    return next(words for line in roost("ps", *options).out.splitlines() if (words := line.split())[0] == name)


def notes(roost: Command, name: str) -> dict[int, str]:
    header, *rows = roost("versions", name).out.splitlines()
    return {int(row.split()[0]): row[header.index("NOTE") :] for row in rows}


def test_versions_tell_what_became_of_those_that_do_not_serve(roost: Command, running: str) -> None:
    roost("deploy", running, "-e", f"{FAULT}=exits_at_once")
    roost("deploy", running, "--from-version", "1")
    assert notes(roost, running) == {3: "", 2: "did not start: exited with code 1", 1: ""}
    roost("rollback", running)
    assert notes(roost, running)[3] == "DEFAULT went back to version 1"
    roost("canary", "start", running, "--to", "3")
    roost("canary", "abort", running)
    assert notes(roost, running)[3].startswith("canary of DEFAULT: aborted by admin at 5 %")
    roost("endpoint", "update", running, "--version", "3")
    assert notes(roost, running) == {3: "", 2: "did not start: exited with code 1", 1: ""}


def test_diff_shows_both_values(roost: Command, running: str) -> None:
    roost("deploy", running, "-e", "A=2")
    roost("deploy", running, "--memory", "512")
    rows = [line.split() for line in roost("diff", running, "3").out.splitlines()]
    assert rows == [["FIELD", "VERSION", "2", "VERSION", "3"], ["resources.memory_mb", "256", "512"]]
    assert roost("diff", running).out == roost("diff", running, "3").out
    whole = roost("diff", running, "1", "3").out
    assert "runtime_server.env.A" in whole and "resources.memory_mb" in whole
    back = json.loads(roost("diff", running, "3", "1", "--json").out)
    assert back["changes"]["resources.memory_mb"] == {"was": 512, "now": 256}
    same = roost("diff", running, "1")
    assert (same.out, same.err) == ("", "version 1 has the configuration of version 1\n")
    missing = roost("diff", running, "9")
    assert (missing.code, "cannot find version 9 " in missing.err) == (3, True)


def test_scale_changes_and_shows_how_many_run(roost: Command, running: str) -> None:
    ended = roost("scale", running, "--min", "2")
    assert ended.out.splitlines()[-1] == f"{running}: 2 of 2 replicas ready; always 2"
    out = roost("scale", running, "--min", "1", "--max", "4", "--cpu", "60").out
    assert "1 to 4, more above 60 % of CPU or 50 % of memory" in out
    assert config(roost, running)["autoscaling"] == {
        "min_replicas": 1,
        "max_replicas": 4,
        "cpu_utilization": 60,
        "memory_utilization": 50,
    }
    assert "1 to 4" in roost("inspect", running).out
    assert roost("scale", running).out.startswith(f"{running}: ")
    assert inspect(roost, running)["version"] == 3
    refused = roost("scale", running, "--min", "3", "--max", "2")
    assert (refused.code, "max_replicas (2) must be at least min_replicas (3)" in refused.err) == (1, True)


def test_a_restart_of_several_replaces_their_replicas(roost: Command, running: str) -> None:
    before = {one["id"] for one in inspect(roost, running)["replica_list"]}
    ended = roost("restart", running, "--json")
    assert json.loads(ended.out)["status"] == "active"
    assert not before & {one["id"] for one in inspect(roost, running)["replica_list"] if one["status"] == "ready"}
