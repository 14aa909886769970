"""Every failure has the one envelope, the right code, and names what is wrong."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from support.platform import Rig

from api.conftest import BASE, client, shared_rig
from api.envelopes import refused

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path) -> AsyncIterator[Rig]:
    """One for all: what is refused leaves nothing behind, and is refused before any database is asked."""
    async with shared_rig(tmp_path_factory.mktemp("rig"), migrated_file) as prepared:
        yield prepared


@pytest_asyncio.fixture(loop_scope="module")
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client(app) as opened:
        yield opened


async def create(http: httpx.AsyncClient, **config: Any) -> httpx.Response:
    return await http.post("/runtimes", json={"name": "new", "config": config})


async def test_a_path_that_is_no_route(http: httpx.AsyncClient) -> None:
    refused(await http.get("http://roost.test/nowhere"), 404)
    refused(await http.get("/nowhere"), 404)
    refused(await http.get("/runtimes/"), 404)


async def test_a_method_that_the_path_does_not_take(http: httpx.AsyncClient) -> None:
    answer = await http.put("/runtimes")
    refused(answer, 405)
    assert answer.headers["allow"] == "GET, POST"


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer wrong"}, {"X-API-Key": "wrong"}, {"Authorization": "Basic dXNlcjpwYXNz"}],
)
async def test_no_token_or_a_wrong_one(http: httpx.AsyncClient, headers: dict[str, str]) -> None:
    del http.headers["Authorization"]
    answer = await http.get("/runtimes", headers=headers)
    refused(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_an_api_key_means_the_same_as_a_bearer_token(http: httpx.AsyncClient) -> None:
    token = http.headers.pop("Authorization").removeprefix("Bearer ")
    assert (await http.get("/runtimes", headers={"X-API-Key": token})).status_code == 200


async def test_a_workspace_that_is_not_there(http: httpx.AsyncClient) -> None:
    refused(await http.get(BASE.replace("ws/default", "ws/other") + "/runtimes"), 404)
    refused(await http.get(BASE.replace("org/default", "org/other") + "/runtimes"), 404)


async def test_an_unknown_workspace_is_not_told_to_somebody_without_a_token(http: httpx.AsyncClient) -> None:
    del http.headers["Authorization"]
    refused(await http.get(BASE.replace("ws/default", "ws/other") + "/runtimes"), 401)


@pytest.mark.parametrize("path", ["", "/config", "/replicas", "/versions", "/endpoints", "/events", "/logs"])
async def test_a_runtime_that_is_not_there(http: httpx.AsyncClient, path: str) -> None:
    assert "missing" in refused(await http.get(f"/runtimes/missing{path}"), 404)["detail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "new", "surprise": 1}, "surprise"),
        ({"name": "new", "config": {"surprise": 1}}, "config.surprise"),
        ({"name": "new", "config": {"resources": {"gpu": 1}}}, "config.resources.gpu"),
        ({"name": "new", "config": {"health": {"prot": 1}}}, "config.health.prot"),
        ({"name": "new", "config": {"build": {"auth": {"username": "u", "token": "t"}}}}, "config.build.auth.token"),
    ],
)
async def test_an_unknown_field_is_named(http: httpx.AsyncClient, body: dict[str, Any], field: str) -> None:
    told = refused(await http.post("/runtimes", json=body), 422, field)
    assert [item["msg"] for item in told["errors"]] == ["unknown field; remove it"]


async def test_a_wrong_value_is_told_in_a_sentence(http: httpx.AsyncClient) -> None:
    told = refused(await http.post("/runtimes", json={"name": 1}), 422, "name")
    assert told["detail"] == "cannot accept name: input should be a valid string"


@pytest.mark.parametrize("name", ["", "a" * 300, "A", "-a", "a-", "a_b", "a--b", "a b", "ä", "a\0b", "a\n"])
async def test_a_name_that_cannot_be_one(http: httpx.AsyncClient, name: str) -> None:
    refused(await http.post("/runtimes", json={"name": name}), 422, "name")


async def test_a_name_that_looks_like_an_id(http: httpx.AsyncClient) -> None:
    refused(await http.post("/runtimes", json={"name": "01a20085-c679-7ff3-a778-4da7fa19e77e"}), 422, "name")


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"health": {"port": 0}}, "config.health.port"),
        ({"health": {"port": 65536}}, "config.health.port"),
        ({"health": {"path": "health"}}, "config.health.path"),
        ({"sandbox": {"exposed_ports": [70000]}}, "config.sandbox"),
        ({"resources": {"memory_mb": 63}}, "config.resources.memory_mb"),
        ({"resources": {"memory_mb": 16385}}, "config.resources.memory_mb"),
        ({"resources": {"memory_mb": 2**64}}, "config.resources.memory_mb"),
        ({"resources": {"memory_mb": 1e300}}, "config.resources.memory_mb"),
        ({"resources": {"cpu_cores": 0}}, "config.resources.cpu_cores"),
        ({"resources": {"cpu_cores": 9}}, "config.resources.cpu_cores"),
        ({"autoscaling": {"min_replicas": 3, "max_replicas": 2}}, "config.autoscaling"),
        ({"autoscaling": {"min_replicas": 11}}, "config.autoscaling.min_replicas"),
        ({"version": "v1"}, "config.version"),
        ({"build": {"source": {"kind": "image", "ref": "NOT AN IMAGE"}}}, "config.build.source.ref"),
        ({"build": {"source": {"kind": "builtin", "ref": "other"}}}, "config.build.source"),
        ({"build": {"source": {"kind": "git"}}}, "config.build.source.kind"),
        (
            {"build": {"source": {"kind": "image", "ref": "r.example.com/a"}, "auth": {"username": "u"}}},
            "config.build.auth.password",
        ),
        ({"process": {"workdir": "relative"}}, "config.process.workdir"),
        ({"resources": {"memory_mb": "512"}}, "config.resources.memory_mb"),
        ({"resources": {"memory_mb": True}}, "config.resources.memory_mb"),
        ({"capabilities": [{"name": "a", "enabled": "yes"}]}, "config.capabilities.0.enabled"),
        ({"runtime_server": {"env": {"1A": "x"}}}, "config.runtime_server"),
        ({"metadata": {"labels": {"": "x"}}}, "config.metadata"),
        ({"capabilities": [{"name": "a"}, {"name": "a"}]}, "config"),
        ({"health": "sometimes"}, "config.health"),
    ],
)
async def test_a_configuration_that_cannot_be_names_the_field(
    http: httpx.AsyncClient, config: dict[str, Any], field: str
) -> None:
    refused(await create(http, **config), 422, field)


@pytest.mark.parametrize("body", [b"", b"{", b"[1,", b'{"name": "a",}', b"\xff\xfe", b'{"name": tru}'])
async def test_a_body_that_is_not_json(http: httpx.AsyncClient, body: bytes) -> None:
    answer = await http.post("/runtimes", content=body, headers={"content-type": "application/json"})
    refused(answer, 422 if body == b"" else 400)


@pytest.mark.parametrize("body", ["[]", '"agent"', "null", "1", "[[" * 5000 + "]]" * 5000])
async def test_a_body_that_is_json_but_no_object(http: httpx.AsyncClient, body: str) -> None:
    answer = await http.post("/runtimes", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    refused(answer, answer.status_code)


async def test_numbers_that_are_none(http: httpx.AsyncClient) -> None:
    for text in ("NaN", "Infinity", "-Infinity", "1" + "0" * 5000):
        body = '{"name": "new", "config": {"resources": {"cpu_cores": ' + text + "}}}"
        answer = await http.post("/runtimes", content=body, headers={"content-type": "application/json"})
        assert answer.status_code in (400, 422), answer.text
        refused(answer, answer.status_code)
        assert (await http.get("/runtimes/new")).status_code == 404


@pytest.mark.parametrize("wait", ["nan", "inf", "-1", "301", "x", "1e400"])
async def test_a_wait_that_cannot_be(http: httpx.AsyncClient, wait: str) -> None:
    refused(await http.get(f"/runtimes/agent?wait={wait}"), 422, "query.wait")


async def test_a_body_of_10_mb(http: httpx.AsyncClient) -> None:
    refused(await http.post("/runtimes", json={"name": "new", "description": "x" * (10 << 20)}), 413, "body")


async def test_a_body_of_10_mb_whose_length_is_not_told(http: httpx.AsyncClient) -> None:
    async def chunks() -> Any:
        for _ in range(10):
            yield b" " * (1 << 20)

    answer = await http.post("/runtimes", content=chunks(), headers={"content-type": "application/json"})
    refused(answer, 413, "body")


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "limit=99999999999999999999", "status=happy"])
async def test_a_query_that_cannot_be(http: httpx.AsyncClient, query: str) -> None:
    refused(await http.get(f"/runtimes?{query}"), 422, f"query.{query.split('=')[0]}" + (".0" * ("status" in query)))


@pytest.mark.parametrize("label", ["nokey", "=x", 'a"b=c', "a b=c"])
async def test_a_label_filter_that_cannot_be(http: httpx.AsyncClient, label: str) -> None:
    refused(await http.get("/runtimes", params={"label": label}), 422, "query.label.0")


@pytest.mark.parametrize("path", ["/runtimes", "/runtimes/agent/events", "/images", "/runtimes/agent/versions"])
async def test_a_cursor_that_is_none(http: httpx.AsyncClient, path: str) -> None:
    refused(await http.get(path, params={"cursor": "no-cursor"}), 422, "query.cursor")


@pytest.mark.parametrize("query", ["cursor=no-cursor", "cursor=no-cursor&follow=true"])
async def test_a_cursor_that_is_none_of_a_log(http: httpx.AsyncClient, query: str) -> None:
    refused(await http.get(f"/runtimes/agent/logs?{query}"), 400)


@pytest.mark.parametrize(
    "path", ["/runtimes/a%00b", "/images/a%00b", "/runtimes?cursor=%00", "/runtimes/x/logs?contains=%00"]
)
async def test_nul_characters_in_an_address(http: httpx.AsyncClient, path: str) -> None:
    refused(await http.get(path), 400)


@pytest.mark.parametrize("text", ["\\u0000", "a\\u0000b", "\\ud800"])
@pytest.mark.parametrize(
    "body",
    [
        '{"name": "new", "description": "TEXT"}',
        '{"name": "new", "config": {"defaults": {"system_prompt": "TEXT"}}}',
        '{"name": "new", "config": {"metadata": {"labels": {"a": "TEXT"}}}}',
        '{"name": "new", "config": {"runtime_server": {"env": {"A": "TEXT"}}}}',
        '{"name": "new", "config": {"process": {"command": ["TEXT"]}}}',
        '{"name": "new", "config": {"capabilities": [{"name": "TEXT"}]}}',
        '{"name": "new", "config": {"build": {"profile": "TEXT"}}}',
    ],
)
async def test_characters_that_no_database_keeps(http: httpx.AsyncClient, body: str, text: str) -> None:
    answer = await http.post(
        "/runtimes", content=body.replace("TEXT", text), headers={"content-type": "application/json"}
    )
    refused(answer, 422)


async def test_unicode_comes_back_as_it_was_sent(http: httpx.AsyncClient) -> None:
    text = "Grüße, 世界 🦉 \u200f\u2028"
    config = {"metadata": {"labels": {"greeting": text}}, "defaults": {"system_prompt": text}}
    answer = await http.post("/runtimes", json={"name": "unicode", "description": text, "config": config})
    assert answer.json()["description"] == answer.json()["labels"]["greeting"] == text
    shown = (await http.get("/runtimes/unicode/config")).json()
    assert shown["config"]["defaults"]["system_prompt"] == text


async def test_a_request_id_is_kept_or_made(http: httpx.AsyncClient) -> None:
    assert (await http.get("/runtimes", headers={"X-Request-Id": "mine-1"})).headers["x-request-id"] == "mine-1"
    for given in ("", "two words", "x" * 65, "newline\x01"):
        answer = await http.get("/runtimes", headers={"X-Request-Id": given})
        assert len(answer.headers["x-request-id"]) == 36
    refused(await http.get("/nowhere", headers={"X-Request-Id": "mine-2"}), 404)


async def test_a_bug_is_a_500_with_the_id_under_which_the_log_has_it(app: FastAPI, http: httpx.AsyncClient) -> None:
    app.state.api = None
    answer = await http.get("/runtimes")
    told = refused(answer, 500)
    assert answer.headers["x-request-id"] in told["detail"] and "NoneType" not in answer.text


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/healthz"])
async def test_a_method_that_no_route_of_the_path_takes_is_405_everywhere(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.post(f"http://roost.test{path}")
    refused(answer, 405)
    assert "GET" in answer.headers["Allow"]
