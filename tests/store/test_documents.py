"""Documents: read as they were written, whatever today's rules say of them."""

from dataclasses import asdict
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError
from roost_server.domain.access import Access
from roost_server.domain.config import Health, RuntimeConfig
from roost_server.store import documents
from roost_server.store.versions import to_document

CONFIG, ACCESS = TypeAdapter(RuntimeConfig), TypeAdapter(Access)

CONFIGS: list[dict[str, Any]] = [
    {},
    {"build": {"source": {"kind": "image", "ref": "agent"}, "auth": {"username": "robot"}}},
    {"build": {"source": {"kind": "image", "ref": "agent"}}, "health": None, "resources": {"flavor": "1x1-general"}},
    {"resources": {"cpu_cores": 2, "memory_mb": 512}, "health": {"port": 3000}, "process": {"args": ["a", "b"]}},
    {"capabilities": [{"name": "a"}, {"name": "b", "version": "1", "enabled": False}]},
    {"runtime_server": {"env": {"A": "1"}}, "sandbox": {"exposed_ports": [9, 7]}, "metadata": {"labels": {"a": "b"}}},
]
ACCESSES: list[dict[str, Any]] = [
    {"mode": "token", "allowed_cidrs": ["10.0.0.0/8"], "rate_limit": {"requests": 3}},
    {
        "mode": "jwt",
        "jwt": {
            "jwks": {"keys": [{"kty": "OKP", "x": "abc"}]},
            "audiences": ["a"],
            "required_claims": {"plan": "gold", "level": 1, "ok": True, "role": ["a", "b"]},
        },
    },
]

OF_AN_EARLIER_RELEASE: list[tuple[TypeAdapter[Any], type, dict[str, Any]]] = [
    (CONFIG, RuntimeConfig, {"retired": 1, "resources": {"gpus": 1}}),
    (CONFIG, RuntimeConfig, {"autoscaling": {"min_replicas": 20, "max_replicas": 15, "cpu_utilization": 90}}),
    (CONFIG, RuntimeConfig, {"resources": {"memory_mb": 1}, "runtime_server": {"env": {"1": "\0"}}}),
    (CONFIG, RuntimeConfig, {"capabilities": [{"name": "a"}, {"name": "a", "enabled": True, "retired": 1}]}),
    (CONFIG, RuntimeConfig, {"health": {"path": "no path", "port": 0}, "metadata": {"labels": {"-": "x" * 300}}}),
    (ACCESS, Access, {"allowed_cidrs": ["everywhere"], "rate_limit": {"requests": 0, "retired": 1}}),
    (ACCESS, Access, {"mode": "jwt"}),
    (ACCESS, Access, {"mode": "jwt", "jwt": {"issuer": "a name", "jwks": {"keys": "none"}}}),
]


@pytest.mark.parametrize("sent", CONFIGS)
def test_a_configuration_is_read_as_it_was_written(sent: dict[str, Any]) -> None:
    written = to_document(CONFIG.validate_python(sent))
    read = documents.read(RuntimeConfig, written)
    assert to_document(read) == written
    assert CONFIG.dump_json(read) == CONFIG.dump_json(CONFIG.validate_python(written)), "cores are 1.0, not 1"


@pytest.mark.parametrize("sent", ACCESSES)
def test_an_access_is_read_as_it_was_written(sent: dict[str, Any]) -> None:
    access = ACCESS.validate_python(sent)
    assert documents.read(Access, asdict(access)) == access


@pytest.mark.parametrize(("rules", "kind", "document"), OF_AN_EARLIER_RELEASE)
def test_what_the_rules_of_today_refuse_is_still_read(
    rules: TypeAdapter[Any], kind: type, document: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError):
        rules.validate_python(document)
    written: dict[str, Any] = asdict(documents.read(kind, document))
    assert kept(written, document) == without_retired(document)


def kept(written: Any, document: Any) -> Any:
    """What is written of the fields that the document has."""
    if isinstance(document, dict) and isinstance(written, dict):
        return {name: kept(written[name], value) for name, value in document.items() if name in written}
    if isinstance(document, list) and isinstance(written, list):
        return [kept(*pair) for pair in zip(written, document, strict=True)]
    return written


def without_retired(document: Any) -> Any:
    if isinstance(document, dict):
        return {name: without_retired(value) for name, value in document.items() if name not in ("retired", "gpus")}
    return [without_retired(each) for each in document] if isinstance(document, list) else document


def test_fields_that_an_earlier_release_did_not_know_have_their_defaults() -> None:
    document = to_document(RuntimeConfig())
    del document["sandbox"], document["resources"]["flavor"], document["build"]["profile"]
    assert documents.read(RuntimeConfig, document) == RuntimeConfig()
    assert documents.read(Access, {}) == Access()


def test_a_document_that_lacks_what_has_no_default_is_none() -> None:
    with pytest.raises(KeyError, match="username"):
        documents.read(RuntimeConfig, {"build": {"auth": {}}})


def test_a_probe_that_was_written_as_none_stays_none() -> None:
    assert documents.read(RuntimeConfig, {"health": None}).probe is None
    assert documents.read(RuntimeConfig, {"health": {}}).probe == Health()
