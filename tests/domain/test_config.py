"""RuntimeConfig: defaults, constraints, and messages that name the field."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError
from roost_server.domain import errors
from roost_server.domain.config import Health, RuntimeConfig
from roost_server.domain.ids import new_id
from roost_server.domain.runtime import check_name
from roost_server.store.versions import to_document

CONFIG = TypeAdapter(RuntimeConfig)
IMAGE = {"source": {"kind": "image", "ref": "agent"}}


def test_a_builtin_needs_no_probe_and_an_image_gets_the_usual_one() -> None:
    assert CONFIG.validate_python({}).probe is None
    assert CONFIG.validate_python({"build": IMAGE}).probe == Health()
    assert CONFIG.validate_python({"build": IMAGE, "health": None}).probe is None
    assert CONFIG.validate_python({"health": {"port": 3000}}).probe == Health(port=3000)


def test_a_configuration_survives_being_written_and_read() -> None:
    config = CONFIG.validate_python({"build": {**IMAGE, "auth": {"username": "u", "password": "p"}}})
    written = to_document(config)
    assert "password" not in written["build"]["auth"]
    assert to_document(CONFIG.validate_python(written)) == written


WRONG: list[tuple[dict[str, Any], tuple[str | int, ...]]] = [
    ({"surprise": 1}, ("surprise",)),
    ({"version": "v1"}, ("version",)),
    ({"resources": {"memory_mb": 1}}, ("resources", "memory_mb")),
    ({"resources": {"cpu_cores": 0}}, ("resources", "cpu_cores")),
    ({"autoscaling": {"min_replicas": 11}}, ("autoscaling", "min_replicas")),
    ({"autoscaling": {"min_replicas": 3, "max_replicas": 2}}, ("autoscaling",)),
    ({"autoscaling": {"cpu_utilization": 76}}, ("autoscaling", "cpu_utilization")),
    ({"build": {"source": {"kind": "builtin", "ref": "other"}}}, ("build", "source")),
    ({"runtime_server": {"env": {"1BAD": "x"}}}, ("runtime_server",)),
    ({"process": {"workdir": "relative"}}, ("process",)),
    ({"capabilities": [{"name": "a"}, {"name": "a"}]}, ()),
]


@pytest.mark.parametrize(("document", "loc"), WRONG)
def test_what_is_wrong_is_refused_where_it_stands(document: dict[str, Any], loc: tuple[str | int, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        CONFIG.validate_python(document)
    assert caught.value.errors()[0]["loc"][: len(loc)] == loc


A_UUID = "0198c0de-0000-7000-8000-000000000001"


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", "a_b", "a" * 64, "a" * 300, "a--b", "ü", A_UUID])
def test_names_that_no_host_could_bear_are_refused(name: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        check_name(name)
    assert caught.value.errors[0].loc == ("name",)


def test_ids_order_by_the_time_they_were_made() -> None:
    ids = [new_id() for _ in range(10_000)]
    assert ids == sorted(ids) and len(set(ids)) == len(ids)
