"""Versions over HTTP: recorded, applied, compared."""

from typing import Any

import httpx
import pytest

from api.envelopes import refused

CONFIG = "/runtimes/agent/config"
VERSIONS = "/runtimes/agent/versions"


async def put(http: httpx.AsyncClient, query: str = "?wait=30", **config: Any) -> httpx.Response:
    answer = await http.put(f"{CONFIG}{query}", json={"config": config})
    assert answer.status_code == 200, answer.text
    return answer


async def shown(http: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await http.get("/runtimes/agent")).json()
    return found


def serving(runtime: dict[str, Any]) -> list[int]:
    return [one["version"] for one in runtime["endpoints"][0]["live"]]


async def test_a_version_that_is_only_recorded_is_stale_until_the_next_start(
    http: httpx.AsyncClient, agent: dict[str, Any]
) -> None:
    await put(http, "?apply=next_start&wait=30", runtime_server={"env": {"A": "2"}})
    recorded = await shown(http)
    assert (recorded["version"], recorded["applied_version"], recorded["stale"]) == (2, 1, True)
    assert (recorded["status"], serving(recorded)) == ("active", [1])
    await http.post("/runtimes/agent/stop?wait=30")
    started = (await http.post("/runtimes/agent/start?wait=30")).json()
    assert (started["applied_version"], started["stale"], serving(started)) == (2, False, [2])


async def test_a_restart_applies_what_was_recorded(http: httpx.AsyncClient, agent: dict[str, Any]) -> None:
    await put(http, "?apply=next_start")
    restarted = (await http.post("/runtimes/agent/restart?wait=30")).json()
    assert (restarted["status"], restarted["applied_version"], serving(restarted)) == ("active", 2, [2])


async def test_a_version_applied_later_takes_the_recorded_one_over(
    http: httpx.AsyncClient, agent: dict[str, Any]
) -> None:
    await put(http, "?apply=next_start")
    await put(http)
    applied = await shown(http)
    assert (applied["version"], applied["applied_version"], serving(applied)) == (3, 3, [3])


async def test_a_word_for_apply_that_is_none_is_refused(http: httpx.AsyncClient, agent: dict[str, Any]) -> None:
    refused(await http.put(f"{CONFIG}?apply=later", json={"config": {}}), 422, "query.apply")


async def test_a_pinned_endpoint_does_not_follow(http: httpx.AsyncClient, agent: dict[str, Any]) -> None:
    await http.patch("/runtimes/agent/endpoints/DEFAULT", json={"version": 1})
    await put(http)
    pinned = await shown(http)
    assert (pinned["applied_version"], pinned["stale"], serving(pinned)) == (2, False, [1])


async def test_a_stale_revision_makes_no_version(http: httpx.AsyncClient, agent: dict[str, Any]) -> None:
    revision = (await http.get(CONFIG)).headers["etag"]
    assert (await http.put(CONFIG, json={"config": {}}, headers={"If-Match": revision})).status_code == 200
    refused(await http.put(CONFIG, json={"config": {}}, headers={"If-Match": revision}), 409)
    assert (await shown(http))["version"] == 2


async def test_versions_come_newest_first_in_pages(http: httpx.AsyncClient, agent: dict[str, Any]) -> None:
    await put(http)
    await put(http, resources={"memory_mb": 256})
    first = (await http.get(f"{VERSIONS}?limit=2")).json()
    assert [(one["version"], one["memory_mb"]) for one in first["items"]] == [(3, 256), (2, 1024)]
    rest = (await http.get(f"{VERSIONS}?limit=2&cursor={first['next_cursor']}")).json()
    assert ([one["version"] for one in rest["items"]], rest["next_cursor"]) == ([1], None)
    assert (await http.get(f"{VERSIONS}/3")).json() == first["items"][0]


async def test_a_difference_names_the_fields_with_both_values(http: httpx.AsyncClient, agent: dict[str, Any]) -> None:
    await put(http, resources={"memory_mb": 256}, runtime_server={"env": {"A": "2"}})
    there = (await http.get(f"{VERSIONS}/2/diff?other=1")).json()
    assert there == {
        "version": 2,
        "other": 1,
        "changes": {
            "resources.memory_mb": {"was": 1024, "now": 256},
            "runtime_server.env.A": {"was": None, "now": "2"},
        },
    }
    back = (await http.get(f"{VERSIONS}/1/diff?other=2")).json()["changes"]
    assert back["resources.memory_mb"] == {"was": 256, "now": 1024}
    assert (await http.get(f"{VERSIONS}/2/diff?other=2")).json()["changes"] == {}


@pytest.mark.parametrize(
    ("path", "code", "field"),
    [
        ("/0", 422, "path.number"),
        ("/x", 422, "path.number"),
        (f"/{2**31}", 422, "path.number"),
        ("/2", 404, None),
        ("/1/diff", 422, "query.other"),
        ("/1/diff?other=0", 422, "query.other"),
        ("/1/diff?other=2", 404, None),
        ("/2/diff?other=1", 404, None),
        ("?cursor=0", 422, "query.cursor"),
    ],
)
async def test_a_version_that_is_not_there(
    http: httpx.AsyncClient, agent: dict[str, Any], path: str, code: int, field: str | None
) -> None:
    refused(await http.get(f"{VERSIONS}{path}"), code, field)


async def test_no_version_gives_the_registrys_password_back(http: httpx.AsyncClient) -> None:
    build = {
        "source": {"kind": "image", "ref": "registry.example.com/team/agent:v1"},
        "auth": {"username": "robot", "password": "secret"},
    }
    await http.post("/runtimes?wait=30", json={"name": "agent", "config": {"build": build}})
    for path in (CONFIG, VERSIONS, f"{VERSIONS}/1"):
        assert "robot" in (text := (await http.get(path)).text) and "secret" not in text
