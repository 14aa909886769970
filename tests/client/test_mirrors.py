"""What the client repeats of the server's contract, checked against the server's own definitions."""

from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints, is_typeddict

import pytest
from pydantic import TypeAdapter
from roost import config as client_config
from roost import errors, models
from roost_server.api import canaries, endpoint_tokens, execs, flavors, logs, metrics, service_accounts, versions
from roost_server.api import models as served
from roost_server.api.errors import BY_CODE
from roost_server.domain import access as server_access
from roost_server.domain import config as server_config
from roost_server.domain.errors import RoostError as ServerError


def every(kind: type[ServerError]) -> list[type[ServerError]]:
    return [one for below in kind.__subclasses__() for one in (below, *every(below))]


@pytest.mark.parametrize("kind", every(ServerError), ids=lambda kind: kind.__name__)
def test_every_error_of_the_server_has_a_class(kind: type[ServerError]) -> None:
    mirrored = errors.BY_TYPE[kind.type]
    assert (mirrored.code, mirrored.type) == (kind.code, kind.type)


def test_every_status_of_the_api_has_a_class() -> None:
    assert {kind.code for kind in errors.BY_TYPE.values()} == set(BY_CODE)


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (models.RuntimeState, served.Runtime),
        (models.ReplicaCount, served.Replicas),
        (models.Endpoint, served.Endpoint),
        (models.Share, served.Share),
        (models.Kept, served.Kept),
        (models.Flavor, flavors.Flavor),
        (models.Difference, versions.Difference),
        (models.Change, versions.Change),
        (models.Replica, served.Replica),
        (models.Version, served.Version),
        (models.CanaryState, canaries.Canary),
        (models.CanaryFigures, canaries.Figures),
        (models.Event, served.Event),
        (models.Image, served.Image),
        (models.Progress, served.ImageProgress),
        (models.Push, served.Push),
        (models.ServiceAccount, service_accounts.ServiceAccount),
        (models.EndpointToken, endpoint_tokens.EndpointToken),
        (models.NewEndpointToken, endpoint_tokens.NewEndpointToken),
        (models.ExecResult, execs.ExecOutcome),
        (models.LogLine, logs.Line),
        (models.UsagePoint, metrics.UsagePoint),
        (models.TrafficPoint, metrics.TrafficPoint),
        (models.ReplicaMetrics, metrics.ReplicaMetrics),
        (models.EndpointMetrics, metrics.EndpointMetrics),
        (models.Metrics, metrics.Metrics),
        (models.RuntimeFigures, metrics.RuntimeFigures),
    ],
)
def test_every_field_that_the_server_sends_is_there(mine: Any, theirs: Any) -> None:
    assert {one.name for one in fields(mine)} == set(theirs.model_fields)


def test_the_configuration_has_the_servers_fields() -> None:
    assert_same(client_config.RuntimeConfig, server_config.RuntimeConfig, "config")


def test_the_access_rule_has_the_servers_fields() -> None:
    assert_same(client_config.Access, server_access.Access, "access")


def assert_same(mine: Any, theirs: Any, where: str) -> None:
    hints, expected = get_type_hints(mine), get_type_hints(theirs)
    assert set(hints) == {one.name for one in fields(theirs)}, where
    for name, hint in hints.items():
        inner = [one for one in options(hint) if is_typeddict(one)]
        outer = [one for one in options(expected[name]) if is_dataclass(one)]
        assert len(inner) == len(outer), f"{where}.{name}"
        for one, other in zip(inner, outer, strict=True):
            assert_same(one, other, f"{where}.{name}")


def options(hint: Any) -> list[Any]:
    """The types that a hint allows, looking into unions and lists."""
    if get_origin(hint) in (UnionType, list) or "Union" in str(get_origin(hint)):
        return [one for part in get_args(hint) for one in options(part)]
    return [hint]


def test_every_short_option_leads_to_a_field_of_the_configuration() -> None:
    given: client_config.RunOptions = {
        "cpus": 0.5,
        "memory_mb": 256,
        "disk_mb": 512,
        "env": {"A": "1"},
        "labels": {"team": "x"},
        "replicas": 3,
        "max_replicas": 4,
        "cpu_utilization": 60,
        "memory_utilization": 70,
        "command": ["python"],
        "args": ["agent.py"],
        "user": "1000",
        "workdir": "/app",
        "port": 3000,
        "health_path": "/ready",
        "exposed_ports": [9000],
        "isolation": "container",
        "registry_username": "me",
        "registry_password": "pw",
    }
    assert set(given) | {"health", "flavor"} == set(client_config.RunOptions.__annotations__)
    document = client_config.compose("registry.example.com/a:v1", None, given)
    read = TypeAdapter(server_config.RuntimeConfig).validate_python(document)
    assert read.build.source == server_config.Source("image", "registry.example.com/a:v1")
    assert read.build.auth == server_config.RegistryAuth("me", "pw")
    assert (read.resources.cpu_cores, read.resources.memory_mb, read.resources.disk_mb) == (0.5, 256, 512)
    assert read.autoscaling == server_config.Autoscaling(3, 4, 60, 70)
    assert read.probe == server_config.Health(3000, "/ready")
    assert (read.process.command, read.process.args) == (["python"], ["agent.py"])
    assert (read.process.user, read.process.workdir) == ("1000", "/app")
    assert read.sandbox.exposed_ports == [9000]
    assert read.metadata.labels == {"team": "x"}


def test_options_win_over_the_configuration_and_add_to_its_variables() -> None:
    base: client_config.RuntimeConfig = {
        "resources": {"memory_mb": 128, "cpu_cores": 2},
        "runtime_server": {"env": {"A": "1", "B": "1"}},
    }
    composed = client_config.compose(None, base, {"memory_mb": 256, "env": {"B": "2"}, "health": False})
    assert composed["resources"] == {"memory_mb": 256, "cpu_cores": 2}
    assert composed["runtime_server"] == {"env": {"A": "1", "B": "2"}}
    assert composed["health"] is None
    assert base["resources"]["memory_mb"] == 128


def test_a_size_is_a_flavor_or_numbers_whatever_the_configuration_had() -> None:
    numbers: client_config.RuntimeConfig = {"resources": {"flavor": None, "memory_mb": 128, "cpu_cores": 2}}
    flavored: client_config.RuntimeConfig = {"resources": {"flavor": "small", "memory_mb": None, "cpu_cores": None}}
    assert client_config.compose(None, numbers, {"flavor": "small"})["resources"] == {"flavor": "small"}
    assert client_config.compose(None, flavored, {"cpus": 1})["resources"] == {"memory_mb": None, "cpu_cores": 1}
    assert client_config.compose(None, flavored, {"disk_mb": 100})["resources"]["flavor"] == "small"


def test_more_replicas_make_room_for_themselves_unless_the_most_is_said() -> None:
    base: client_config.RuntimeConfig = {"autoscaling": {"min_replicas": 1, "max_replicas": 2}}
    assert client_config.compose(None, base, {"replicas": 3})["autoscaling"] == {"min_replicas": 3, "max_replicas": 3}
    assert client_config.compose(None, base, {"max_replicas": 1})["autoscaling"]["max_replicas"] == 1
    asked = client_config.compose(None, base, {"replicas": 3, "max_replicas": 2})
    assert asked["autoscaling"] == {"min_replicas": 3, "max_replicas": 2}


def test_builtin_is_not_taken_for_a_reference() -> None:
    composed = client_config.compose("builtin:runtime", None, {})
    assert composed["build"]["source"] == {"kind": "builtin", "ref": "runtime"}
