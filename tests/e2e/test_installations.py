"""Installations as their operator meets them: start, stop, down, side by side, and what cannot start."""

import socket
from collections.abc import Callable

import pytest
from support import leftovers
from support.installation import Installation, until

from e2e.stories import agent, answers, states, whoami

pytestmark = pytest.mark.slow

Own = Callable[..., Installation]


def test_a_server_that_is_stopped_leaves_replicas_and_traffic_as_they_are(own: Own) -> None:
    roost = own().start()
    runtime = roost.client.runtimes.create("agent", **agent())
    before, said = states(roost), whoami(runtime)
    assert roost.terminate() == 0
    assert whoami(runtime) == said
    roost.start()
    assert states(roost) == before
    assert whoami(runtime) == said


def test_down_removes_everything_but_what_is_kept_and_run_brings_it_back(own: Own) -> None:
    roost = own().start()
    runtime = roost.client.runtimes.create("agent", **agent())
    said = whoami(runtime)
    roost.terminate()
    assert roost.down().returncode == 0
    assert leftovers.of_all(roost.root) == []
    assert roost.down().returncode == 0

    roost.start()
    until(lambda: answers(runtime))
    until(lambda: runtime.refresh().status == "active")
    assert whoami(runtime)["started"] != said["started"]
    until(lambda: len(list(runtime.logs(contains="listens on"))) >= 2)


def test_down_is_refused_while_a_server_runs(own: Own) -> None:
    roost = own().start()
    runtime = roost.client.runtimes.create("agent", **agent())
    refused = roost.down()
    assert refused.returncode == 1
    assert "cannot take everything down" in refused.stderr and "stop it first" in refused.stderr
    assert whoami(runtime)["replica"]


def test_two_installations_do_not_disturb_each_other(own: Own) -> None:
    one, other = own().start(), own().start()
    for roost in (one, other):
        roost.client.runtimes.create("agent", **agent(env={"VERSION": roost.root.name}))
    runtimes = {roost.root.name: roost.client.runtimes.get("agent") for roost in (one, other)}
    assert {name: whoami(runtime)["version"] for name, runtime in runtimes.items()} == {name: name for name in runtimes}
    one.terminate()
    one.down()
    assert leftovers.of_all(one.root) == []
    assert whoami(runtimes[other.root.name])["version"] == other.root.name
    assert other.client.runtimes.create("another", **agent()).status == "active"


def test_a_second_server_on_the_same_data_is_refused(own: Own) -> None:
    roost = own().start()
    refused = roost.server("run", ROOST_API_PORT=str(roost.api_port + 1))
    assert refused.returncode == 1
    assert f"cannot start: another Roost server uses the data directory {roost.data}" in refused.stderr


def test_a_taken_api_port_is_named_with_its_setting(own: Own) -> None:
    roost = own(with_builtin=False)
    with socket.create_server(("127.0.0.1", roost.api_port)):
        refused = roost.server("run")
    assert refused.returncode == 1
    assert f"cannot listen on 127.0.0.1:{roost.api_port}" in refused.stderr
    assert "ROOST_API_PORT" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_taken_gateway_port_is_named_with_its_setting(own: Own) -> None:
    roost = own(with_builtin=False)
    with socket.create_server(("127.0.0.1", roost.http_port)):
        refused = roost.server("run")
    assert refused.returncode == 1
    assert str(roost.http_port) in refused.stderr
    assert "http_port" in refused.stderr.lower()
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("setting", "value", "named"),
    [
        ("ROOST_API_PORT", "seventy", "ROOST_API_PORT"),
        ("ROOST_HTTP_PORT", "0", "ROOST_HTTP_PORT"),
        ("ROOST_ADMIN_TOKEN", "short", "ROOST_ADMIN_TOKEN"),
        ("ROOST_RUN_DIR", "/tmp/" + "x" * 120, "run_dir"),
        ("ROOST_NETWORK_CIDR", "10.0.0.0/99", "network"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(own: Own, setting: str, value: str, named: str) -> None:
    refused = own(with_builtin=False).server("run", **{setting: value})
    assert refused.returncode == 1
    assert named in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_first_start_makes_a_token_that_the_command_finds(own: Own) -> None:
    roost = own(with_builtin=False)
    del roost.env["ROOST_ADMIN_TOKEN"]
    roost.start()
    assert "Admin token (shown once): " in roost.log()
    config = roost.root / "config" / "roost" / "config.toml"
    assert config.stat().st_mode & 0o777 == 0o600
    listed = roost.cli("ps", "--json")
    assert (listed.returncode, listed.stdout.strip()) == (0, "[]")


@pytest.mark.parametrize("is_same", [True, False])
def test_a_token_of_an_earlier_installation_gives_way_and_that_of_another_server_stays(own: Own, is_same: bool) -> None:
    roost = own(with_builtin=False)
    del roost.env["ROOST_ADMIN_TOKEN"]
    config = roost.root / "config" / "roost" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(f'url = "{roost.url if is_same else "http://192.0.2.1:7070"}"\ntoken = "earlier"\n')
    roost.start()
    assert ("earlier" in config.read_text()) is not is_same
    assert ("names another server" in roost.log()) is not is_same
    assert (roost.cli("ps").returncode == 0) is is_same
