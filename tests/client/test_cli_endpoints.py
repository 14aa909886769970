"""The command as a user types it: endpoints, who may call them, flavors."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from client.conftest import Command

pytestmark = pytest.mark.slow

ISSUER = "https://issuer.example.com"


@pytest.fixture
def running(roost: Command, name: str) -> str:
    """A runtime of two versions; the second serves, the first is kept ready."""
    assert roost("run", "--name", name, "--image", "hello").code == 0
    assert roost("deploy", name).code == 0
    return name


def in_ps(roost: Command, name: str) -> list[str]:
    """The words of its line."""
    return next(words for line in roost("ps").out.splitlines() if (words := line.split())[0] == name)


def access(roost: Command, name: str, endpoint: str = "DEFAULT") -> dict[str, Any]:
    read: dict[str, Any] = json.loads(roost("endpoint", "get", name, endpoint, "--json").out)["access"]
    return read


def test_endpoints_are_created_listed_shown_stopped_started_and_removed(roost: Command, running: str) -> None:
    first, url = roost("endpoint", "create", running, "canary", "--version", "1").out.splitlines()
    assert first == f"canary of {running}: version 1 serves"
    assert ".localhost" in url
    header, default, canary = roost("endpoint", "list", running).out.splitlines()
    assert header.split("   ")[0].strip() == "ENDPOINT"
    cells = [cell.strip() for cell in default.split("   ") if cell]
    assert cells[:4] == ["DEFAULT (default)", "active", "2", "latest"]
    assert re.fullmatch(r"1 for (9|10) min", cells[4]) and cells[5:-1] == ["public"]
    assert header.index("URL") <= 80
    assert canary.split() == ["canary", "active", "1", "1", "-", "public", url.split()[-1]]
    shown = roost("endpoint", "get", running, "canary").out
    assert "should serve   version 1" in shown and "replicas       1 ready" in shown
    assert "DEFAULT (default)" in roost("endpoint", "get", running).out
    assert roost("endpoint", "stop", running, "canary").out == f"canary of {running} is stopped\n"
    assert roost("endpoint", "start", running, "canary").out == f"canary of {running}: version 1 serves\n"
    assert "canary" in roost("inspect", running).out
    assert roost("endpoint", "delete", running, "canary").out == "removed canary\n"
    assert roost("endpoint", "get", running, "canary").code == 3
    refused = roost("endpoint", "rm", running, "DEFAULT")
    assert (refused.code, "it is the default one" in refused.err) == (1, True)


def test_an_endpoint_is_split_pinned_and_follows(roost: Command, running: str) -> None:
    split = roost("endpoint", "update", running, "--split", "1=90,2=10")
    assert split.out.startswith(f"{running}: version 1 serves 90 %, version 2 serves 10 %")
    assert "   1=90,2=10   " in roost("endpoint", "list", running).out
    assert "version 3 is made, but DEFAULT is split 1=90,2=10; " in roost("deploy", running).out
    assert roost("endpoint", "update", running, "--version", "1").out.startswith(f"{running}: version 1 serves")
    assert in_ps(roost, running)[3:6] == ["1", "(latest", "3)"]
    assert roost("endpoint", "update", running, "--latest").out.startswith(f"{running}: version 3 serves")
    roost("endpoint", "create", running, "blue", "--version", "1")
    assert roost("endpoint", "update", running, "blue", "--default").out == f"{running}: version 1 serves\n"
    assert "blue (default)" in roost("inspect", running).out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--version", "1", "--latest"], "choose one of --version, --latest and --split"),
        (["--split", "1:90"], 'write "1:90" as VERSION=PERCENT'),
        (["--split", "1=50,1=50"], "names a version twice"),
        (["--rate-limit", "fast"], 'write "fast" as N/TIME'),
        (["--public", "--token"], "choose one of --public, --token and the --jwt options"),
        (["--public", "--jwt-issuer", ISSUER], "choose one of"),
        (["--jwt-issuer", ISSUER, "--claim", "x"], 'write "x" as KEY=VALUE'),
        (["--jwt-issuer", ISSUER, "--audience", ""], "an audience must not be empty"),
        (["--jwks", "/nowhere"], "cannot read /nowhere"),
        (["--version", "0"], "--version"),
        (["--no-audience"], "this endpoint asks nobody for a JWT"),
        (["--jwt-issuer", ISSUER, "--claim", "a=1", "--no-claim"], "choose one of --claim and --no-claim"),
        ([], "say what to change"),
        (["--json"], "say what to change"),
    ],
)
def test_wrong_usage_exits_with_2_and_names_the_option(
    roost: Command, running: str, options: list[str], told: str
) -> None:
    ended = roost("endpoint", "update", running, *options)
    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err


def test_weights_that_do_not_add_up_are_refused_by_the_server(roost: Command, running: str) -> None:
    ended = roost("endpoint", "update", running, "--split", "1=90,2=20")
    assert (ended.code, "add up to 100, not 110" in ended.err) == (1, True)


def test_access_is_changed_where_it_is_named(roost: Command, running: str, tmp_path: Path) -> None:
    roost("endpoint", "create", running, "inside", "--allow", "10.0.0.0/8", "--rate-limit", "5000/1h")
    rule = access(roost, running, "inside")
    assert (rule["mode"], rule["allowed_cidrs"]) == ("public", ["10.0.0.0/8"])
    assert rule["rate_limit"] == {"requests": 5000, "per_seconds": 3600}

    jwt = ("--jwt-issuer", ISSUER, "--audience", "a", "--audience", "b", "--claim", "admin=true", "--claim", "team=x")
    told = roost("endpoint", "update", running, "inside", *jwt, "--user-claim", "email").out
    assert told == f"access to inside of {running}: jwt of {ISSUER}, from 10.0.0.0/8, 5000 per 3600 s\n"
    shown = roost("endpoint", "get", running, "inside").out
    assert "audience       a or b\n" in shown and "claims         admin=true, team=x\n" in shown
    rule = access(roost, running, "inside")
    assert (rule["mode"], rule["allowed_cidrs"]) == ("jwt", ["10.0.0.0/8"])
    assert rule["jwt"] == {
        "issuer": ISSUER,
        "jwks_uri": None,
        "jwks": None,
        "audiences": ["a", "b"],
        "required_claims": {"admin": True, "team": "x"},
        "user_claim": "email",
    }
    assert f"jwt of {ISSUER}, from 10.0.0.0/8, 5000 per 3600 s" in roost("endpoint", "list", running).out

    (tmp_path / "keys.json").write_text('{"keys": []}')
    roost("endpoint", "update", running, "inside", "--jwks", str(tmp_path / "keys.json"), "--allow", "all")
    rule = access(roost, running, "inside")
    assert (rule["jwt"]["issuer"], rule["jwt"]["jwks"], rule["allowed_cidrs"]) == (ISSUER, {"keys": []}, [])
    roost("endpoint", "update", running, "inside", "--jwks-uri", f"{ISSUER}/keys")
    assert access(roost, running, "inside")["jwt"]["jwks"] is None

    closed = roost("endpoint", "update", running, "inside", "--token", "--rate-limit", "none")
    assert closed.out == f"access to inside of {running}: token\n"
    assert f"roost endpoint token create {running} inside TOKEN-NAME" in closed.err
    assert access(roost, running, "inside") == {
        "mode": "token",
        "jwt": None,
        "allowed_cidrs": [],
        "rate_limit": None,
    }
    roost("endpoint", "update", running, "inside", "--public")
    assert access(roost, running, "inside")["mode"] == "public"


def test_audiences_and_claims_are_taken_away(roost: Command, running: str) -> None:
    roost("endpoint", "update", running, "--jwt-issuer", ISSUER, "--audience", "a", "--claim", "plan=gold")
    assert roost("endpoint", "update", running, "--no-audience").code == 0
    jwt = access(roost, running)["jwt"]
    assert (jwt["issuer"], jwt["audiences"], jwt["required_claims"]) == (ISSUER, [], {"plan": "gold"})
    assert roost("endpoint", "update", running, "--no-claim", "--audience", "b").code == 0
    jwt = access(roost, running)["jwt"]
    assert (jwt["issuer"], jwt["audiences"], jwt["required_claims"]) == (ISSUER, ["b"], {})


def test_an_issuer_without_keys_is_warned_of(roost: Command, running: str) -> None:
    nowhere = "http://127.0.0.1:9/keys"
    told = f"roost: warning: cannot fetch keys from {nowhere}: "
    ended = roost("endpoint", "update", running, "--jwks-uri", nowhere)
    assert (ended.code, ended.err.startswith(told)) == (0, True)
    assert f"see `roost endpoint get {running} DEFAULT`" in ended.err
    made = roost("endpoint", "create", running, "partners", "--jwks-uri", nowhere)
    assert (made.code, made.err.startswith(told)) == (0, True)
    ended = roost("endpoint", "update", running, "--public", "--json")
    assert (ended.err, json.loads(ended.out)["message"]) == ("", None)


def test_whose_tokens_must_be_said(roost: Command, running: str) -> None:
    ended = roost("endpoint", "update", running, "--audience", "a")
    assert (ended.code, "say whose tokens are accepted" in ended.err) == (1, True)


def test_call_takes_another_endpoint_but_not_with_a_port(roost: Command, running: str) -> None:
    assert roost("call", running, "/", "--endpoint", "missing").code == 3
    assert roost("call", running, "/", "--endpoint", "DEFAULT", "--port", "9000").code == 2


def test_flavors_are_listed_made_used_changed_and_removed(roost: Command, name: str) -> None:
    assert roost("flavor", "create", name, "--cpus", "0.5", "--memory", "1g").out == f"{name}: 0.5 cores, 1024 MiB\n"
    rows = roost("flavor", "list").out.splitlines()
    assert rows[0].split() == ["FLAVOR", "CORES", "MEMORY", "AVAILABLE", "DESCRIPTION"]
    assert any(row.split()[:5] == [name, "0.5", "1024", "MiB", "yes"] for row in rows)
    assert roost("run", "--name", name, "--image", "hello", "--flavor", name).code == 0
    assert f"0.5 cores, 1024 MiB memory, 10240 MiB disk (flavor {name})" in roost("inspect", name).out
    assert f"0.5 cores, 1024 MiB ({name})" in roost("versions", name).out
    assert json.loads(roost("flavor", "update", name, "--memory", "512", "--json").out)["memory_mb"] == 512
    assert roost("flavor", "update", name).code == 2
    assert roost("flavor", "delete", name).out == f"removed {name}\n"
    assert roost("flavor", "rm", name).code == 3
    assert any(one["name"] == "1x1-general" for one in json.loads(roost("flavor", "ls", "--json").out))


def test_a_size_is_said_by_a_flavor_or_in_numbers(roost: Command, name: str) -> None:
    ended = roost("run", "--name", name, "--flavor", "1x1-general", "--cpus", "1")
    assert (ended.code, "a flavor says the CPU cores and the memory" in ended.err) == (2, True)
    roost("flavor", "create", name, "--cpus", "0.5", "--memory", "512")
    roost("run", "--name", name, "--image", "hello")
    roost("deploy", name, "--flavor", name)
    assert json.loads(roost("config", "get", name).out)["resources"]["flavor"] == name
    roost("deploy", name, "--memory", "256")
    size = json.loads(roost("config", "get", name).out)["resources"]
    assert (size["flavor"], size["cpu_cores"], size["memory_mb"]) == (None, 0.5, 256)
    assert roost("config", "set", name, f"resources.flavor={name}").code == 0
    assert json.loads(roost("config", "get", name).out)["resources"]["flavor"] == name


@pytest.mark.parametrize(
    ("words", "place", "expected"),
    [
        ("roost endpoint get {name} DEF", 4, "DEFAULT"),
        ("roost call {name} / --endpoint DEF", 5, "DEFAULT"),
        ("roost rollback {name} --endpoint ", 4, "DEFAULT"),
        ("roost flavor delete 1x1", 3, "1x1-general"),
        ("roost run --flavor 1x1", 3, "1x1-general"),
    ],
)
def test_names_of_endpoints_and_flavors_are_completed(
    running: str, spawn: Callable[..., "subprocess.Popen[str]"], words: str, place: int, expected: str
) -> None:
    told = {"COMP_WORDS": words.format(name=running), "COMP_CWORD": str(place), "_ROOST_COMPLETE": "complete_bash"}
    with spawn(**told) as process:
        out, _ = process.communicate()
    assert expected in out.split()
