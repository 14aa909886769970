"""Runtimes over HTTP: each route does what it says, and says what it did."""

import asyncio
from typing import Any

import httpx
import pytest
from support.platform import Rig
from support.waiting import eventually

from api.envelopes import refused

FIELDS = {
    "id", "name", "description", "status", "reason", "message", "version", "replicas", "url", "alias_url",
    "endpoints", "stale", "applied_version", "labels", "revision", "created_at", "updated_at",
}  # fmt: skip


async def test_create_answers_at_once_and_with_wait_when_it_is_active(http: httpx.AsyncClient) -> None:
    at_once = await http.post("/runtimes", json={"name": "one", "description": "first"})
    assert at_once.status_code == 201 and at_once.json()["status"] == "creating"
    waited = await http.post("/runtimes?wait=30", json={"name": "two"})
    shown = waited.json()
    assert waited.status_code == 201 and shown["status"] == "active" and shown["replicas"] == {"wanted": 1, "ready": 1}
    assert set(shown) == FIELDS
    assert shown["url"] == f"http://{shown['id']}.localhost:7080"
    assert shown["alias_url"] == "http://two--default--default.localhost:7080"
    assert [endpoint["name"] for endpoint in shown["endpoints"]] == ["DEFAULT"]


async def test_wait_is_over_when_a_runtime_has_failed(http: httpx.AsyncClient) -> None:
    source = {"kind": "image", "ref": "registry.example.com/team/image_not_found"}
    answer = await http.post("/runtimes?wait=30", json={"name": "agent", "config": {"build": {"source": source}}})
    shown = answer.json()
    assert (answer.status_code, shown["status"], shown["reason"]) == (201, "error", "image_not_found")


async def test_wait_is_over_when_its_time_is(http: httpx.AsyncClient, rig: Rig) -> None:
    rig.gateway.available = False
    answer = await http.post("/runtimes?wait=0.2", json={"name": "agent"})
    assert answer.status_code == 201 and answer.json()["status"] == "creating"


async def test_a_runtime_is_found_by_id_in_any_case_and_by_name(http: httpx.AsyncClient, agent: dict[str, Any]) -> None:
    for path in (agent["id"], agent["id"].upper(), "agent"):
        assert (await http.get(f"/runtimes/{path}")).json()["id"] == agent["id"]


async def test_list_pages_through_all_newest_first(http: httpx.AsyncClient) -> None:
    for number in range(7):
        await http.post("/runtimes", json={"name": f"agent-{number}"})
    names, cursor = [], ""
    while cursor is not None:
        page = (await http.get("/runtimes", params={"limit": 3, **({"cursor": cursor} if cursor else {})})).json()
        names += [item["name"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert names == [f"agent-{number}" for number in reversed(range(7))]


async def test_list_filters_by_status_and_by_every_label(http: httpx.AsyncClient) -> None:
    labels = {"team": "blue", "tier": "1", "a.b/c-d_e": "ü=x"}
    await http.post("/runtimes?wait=30", json={"name": "one", "config": {"metadata": {"labels": labels}}})
    await http.post("/runtimes?wait=30", json={"name": "two", "config": {"metadata": {"labels": {"team": "blue"}}}})
    await http.post("/runtimes/two/stop?wait=30")

    async def names(**params: Any) -> list[str]:
        return [item["name"] for item in (await http.get("/runtimes", params=params)).json()["items"]]

    assert await names(status="active") == ["one"]
    assert await names(status=["active", "stopped"]) == ["two", "one"]
    assert await names(label="team=blue") == ["two", "one"]
    assert await names(label=["team=blue", "tier=1"]) == ["one"]
    assert await names(label="a.b/c-d_e=ü=x") == ["one"]
    assert await names(label="team=red") == []


async def test_patch_changes_the_description_and_the_revision(http: httpx.AsyncClient, agent: dict[str, Any]) -> None:
    answer = await http.patch("/runtimes/agent", json={"description": "better"})
    assert answer.json()["description"] == "better"
    assert answer.json()["revision"] == agent["revision"] + 1


async def test_stop_start_and_delete_with_wait(http: httpx.AsyncClient, agent: dict[str, Any]) -> None:
    assert (await http.post("/runtimes/agent/stop")).json()["status"] == "stopping"
    assert (await http.post("/runtimes/agent/stop?wait=30")).json()["status"] == "stopped"
    assert (await http.post("/runtimes/agent/start?wait=30")).json()["status"] == "active"
    assert (await http.delete("/runtimes/agent")).status_code == 202
    gone = await http.delete("/runtimes/agent?wait=30")
    assert gone.status_code in (204, 404)
    refused(await http.get("/runtimes/agent"), 404)


async def test_delete_with_wait_says_that_it_is_gone(http: httpx.AsyncClient, agent: object) -> None:
    answer = await http.delete("/runtimes/agent?wait=30")
    assert answer.status_code == 204 and answer.content == b""


async def test_the_configuration_goes_round_unchanged(http: httpx.AsyncClient, agent: object) -> None:
    first = (await http.get("/runtimes/agent/config")).json()
    assert first["config"]["version"] == "v2" and first["config"]["health"] is None
    answer = await http.put("/runtimes/agent/config?wait=30", json=first)
    assert answer.status_code == 200 and answer.json() == first
    assert (await http.get("/runtimes/agent/config")).json() == first
    shown = (await http.get("/runtimes/agent")).json()
    assert (shown["version"], shown["status"]) == (2, "active")


async def test_put_config_returns_omitted_fields_to_their_defaults(http: httpx.AsyncClient, agent: object) -> None:
    await http.put("/runtimes/agent/config", json={"config": {"resources": {"memory_mb": 256, "cpu_cores": 2}}})
    await http.put("/runtimes/agent/config", json={"config": {"resources": {"memory_mb": 512}}})
    resources = (await http.get("/runtimes/agent/config")).json()["config"]["resources"]
    assert (resources["memory_mb"], resources["cpu_cores"]) == (512, 1)
    versions = (await http.get("/runtimes/agent/versions")).json()["items"]
    assert [one["version"] for one in versions] == [3, 2, 1]
    assert versions[1]["config"]["resources"]["memory_mb"] == 256


async def test_health_left_out_suits_the_image(http: httpx.AsyncClient) -> None:
    image = {"build": {"source": {"kind": "image", "ref": "registry.example.com/team/agent"}}}
    for name, config, health in (
        ("builtin", {}, None),
        ("image", image, {"port": 8080, "path": "/health", "start_timeout_seconds": 120}),
        ("none", {**image, "health": None}, None),
    ):
        await http.post("/runtimes", json={"name": name, "config": config})
        assert (await http.get(f"/runtimes/{name}/config")).json()["config"]["health"] == health


async def test_versions_are_paged(http: httpx.AsyncClient, agent: object) -> None:
    for _ in range(4):
        await http.put("/runtimes/agent/config", json={"config": {}})
    first = (await http.get("/runtimes/agent/versions?limit=3")).json()
    rest = (await http.get(f"/runtimes/agent/versions?limit=3&cursor={first['next_cursor']}")).json()
    assert [one["version"] for one in first["items"] + rest["items"]] == [5, 4, 3, 2, 1]
    assert rest["next_cursor"] is None


async def test_replicas_endpoints_and_events_are_shown(http: httpx.AsyncClient, agent: dict[str, Any]) -> None:
    (replica,) = (await http.get("/runtimes/agent/replicas")).json()["items"]
    assert replica["status"] == "ready" and replica["routed"] and replica["version"] == 1
    (endpoint,) = (await http.get("/runtimes/agent/endpoints")).json()["items"]
    assert endpoint == agent["endpoints"][0]
    assert (endpoint["version"], endpoint["target_version"], endpoint["pinned"]) == (1, 1, False)
    events = (await http.get("/runtimes/agent/events?limit=2")).json()
    assert [event["type"] for event in events["items"]] == ["runtime.active", "endpoint.moved"]
    older = (await http.get(f"/runtimes/agent/events?cursor={events['next_cursor']}")).json()
    assert [event["type"] for event in older["items"]] == ["replica.ready", "runtime.created"]


async def test_a_stale_revision_is_refused_and_the_one_that_was_read_is_not(
    http: httpx.AsyncClient, agent: dict[str, Any]
) -> None:
    revision = agent["revision"]
    for stale in (f"{revision + 1}", f'"{revision + 1}"', f'W/"{revision + 1}"', "9" * 30):
        headers = {"If-Match": stale}
        refused(await http.patch("/runtimes/agent", json={"description": "x"}, headers=headers), 409)
        refused(await http.put("/runtimes/agent/config", json={"config": {}}, headers=headers), 409)
        refused(await http.delete("/runtimes/agent", headers=headers), 409)
    for fresh in (f'"{revision}"', f"{revision + 1}", "*"):
        answer = await http.patch("/runtimes/agent", json={"description": "x"}, headers={"If-Match": fresh})
        assert answer.status_code == 200
    refused(await http.patch("/runtimes/agent", json={"description": "x"}, headers={"If-Match": "seven"}), 422)


async def test_the_tag_of_a_configuration_is_what_put_wants(http: httpx.AsyncClient, agent: object) -> None:
    for _ in range(2):
        tag = (await http.get("/runtimes/agent/config")).headers["etag"]
        answer = await http.put("/runtimes/agent/config", json={"config": {}}, headers={"If-Match": tag})
        assert answer.status_code == 200
        assert answer.headers["etag"] == (await http.get("/runtimes/agent/config")).headers["etag"]


async def test_a_taken_name_is_refused(http: httpx.AsyncClient, agent: object) -> None:
    told = refused(await http.post("/runtimes", json={"name": "agent"}), 409, "name")
    assert told["type"] == "already_exists_error"


async def test_of_many_creates_of_one_name_at_once_one_wins(http: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*[http.post("/runtimes", json={"name": "agent"}) for _ in range(8)])
    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 7]
    for answer in answers:
        if answer.status_code == 409:
            refused(answer, 409, "name")


async def test_many_new_configurations_at_once_each_get_a_version(http: httpx.AsyncClient, agent: object) -> None:
    answers = await asyncio.gather(*[http.put("/runtimes/agent/config", json={"config": {}}) for _ in range(8)])
    assert {answer.status_code for answer in answers} == {200}
    assert (await http.get("/runtimes/agent")).json()["version"] == 9


async def test_everything_at_once_on_one_runtime_is_never_a_bug(http: httpx.AsyncClient, agent: object) -> None:
    requests = [
        *[http.post("/runtimes/agent/stop") for _ in range(4)],
        *[http.post("/runtimes/agent/start") for _ in range(4)],
        *[http.put("/runtimes/agent/config", json={"config": {}}) for _ in range(4)],
        *[http.patch("/runtimes/agent", json={"description": str(number)}) for number in range(4)],
    ]
    assert {answer.status_code for answer in await asyncio.gather(*requests)} == {200}
    await http.post("/runtimes/agent/start")
    answer = await http.get("/runtimes/agent?wait=30")
    assert answer.json()["status"] == "active"


async def test_an_idempotency_key_makes_a_thing_once(http: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "key-1"}
    first = await http.post("/runtimes", json={"name": "agent"}, headers=headers)
    again = await http.post("/runtimes", json={"name": "agent"}, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["id"] == again.json()["id"]
    refused(await http.post("/runtimes", json={"name": "other"}, headers=headers), 409)
    assert len((await http.get("/runtimes")).json()["items"]) == 1


async def test_two_requests_at_once_with_one_idempotency_key_make_one_thing(http: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "key-1"}
    answers = await asyncio.gather(*[http.post("/runtimes", json={"name": "agent"}, headers=headers) for _ in range(6)])
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_a_key_whose_runtime_has_been_deleted_says_so(http: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "key-1"}
    await http.post("/runtimes?wait=30", json={"name": "agent"}, headers=headers)
    await http.delete("/runtimes/agent?wait=30")
    assert (
        "deleted"
        in refused(await http.post("/runtimes?wait=30", json={"name": "agent"}, headers=headers), 409)["detail"]
    )


async def test_a_key_that_is_too_long(http: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "k" * 256}
    refused(await http.post("/runtimes", json={"name": "agent"}, headers=headers), 422, "header.idempotency-key")


async def test_a_password_is_never_given_back(http: httpx.AsyncClient, rig: Rig) -> None:
    password = "correct-horse-battery"
    build = {
        "source": {"kind": "image", "ref": "registry.example.com/team/agent:v1"},
        "auth": {"username": "ann", "password": password},
    }
    answers = [
        await http.post("/runtimes?wait=30", json={"name": "agent", "config": {"build": build}}),
        await http.get("/runtimes/agent"),
        await http.get("/runtimes/agent/config"),
        await http.get("/runtimes/agent/versions"),
        await http.get("/runtimes/agent/events"),
        await http.get("/images"),
        await http.put("/runtimes/agent/config", json={"config": {"build": build}}),
        await http.put("/runtimes/agent/config", json={"config": {"build": build, "surprise": password}}),
        await http.put("/runtimes/agent/config", json={"config": {"build": {**build, "auth": password}}}),
        await http.post("/images", json={"reference": "registry.example.com/a", "auth": build["auth"]}),
        await http.post("/images/builtin:runtime/push", json={"reference": "r.example.com/a", "auth": build["auth"]}),
    ]
    for answer in answers:
        assert password not in answer.text, answer.request.url
    assert (await http.get("/runtimes/agent/config")).json()["config"]["build"]["auth"] == {"username": "ann"}


async def test_the_stored_password_is_used_when_a_new_version_leaves_it_out(http: httpx.AsyncClient, rig: Rig) -> None:
    build: dict[str, Any] = {
        "source": {"kind": "image", "ref": "registry.example.com/team/agent:v1"},
        "auth": {"username": "ann", "password": "secret-1"},
    }
    await http.post("/runtimes?wait=30", json={"name": "agent", "config": {"build": build}})
    build = {"source": {"kind": "image", "ref": "registry.example.com/team/agent:v2"}, "auth": {"username": "ann"}}
    answer = await http.put("/runtimes/agent/config?wait=30", json={"config": {"build": build}})
    assert answer.status_code == 200
    assert rig.images.passwords[-1] == "secret-1"


async def test_a_stored_password_is_not_sent_to_another_registry_or_for_another_user(
    http: httpx.AsyncClient, rig: Rig
) -> None:
    build: dict[str, Any] = {
        "source": {"kind": "image", "ref": "registry.example.com/team/agent:v1"},
        "auth": {"username": "ann", "password": "secret-1"},
    }
    await http.post("/runtimes?wait=30", json={"name": "agent", "config": {"build": build}})
    for ref, user in (("evil.example.com/team/agent:v1", "ann"), ("registry.example.com/team/agent:v1", "bob")):
        build = {"source": {"kind": "image", "ref": ref}, "auth": {"username": user}}
        answer = await http.put("/runtimes/agent/config", json={"config": {"build": build}})
        refused(answer, 422, "config.build.auth.password")


async def test_start_of_a_failed_runtime_waits_for_the_new_try(http: httpx.AsyncClient, rig: Rig) -> None:
    source = {"kind": "image", "ref": "registry.example.com/team/image_not_found"}
    await http.post("/runtimes?wait=30", json={"name": "agent", "config": {"build": {"source": source}}})
    rig.images.heal()
    assert (await http.post("/runtimes/agent/start?wait=30")).json()["status"] == "active"


async def test_a_conflict_while_deleting_says_so(http: httpx.AsyncClient, rig: Rig) -> None:
    config = {"runtime_server": {"env": {"ROOST_SIMULATED_FAULT": "slow_to_delete"}}}
    await http.post("/runtimes?wait=30", json={"name": "agent", "config": config})
    await http.delete("/runtimes/agent")
    refused(await http.post("/runtimes/agent/start"), 409)
    refused(await http.post("/runtimes", json={"name": "agent"}), 409, "name")

    async def gone() -> bool:
        return (await http.get("/runtimes/agent")).status_code == 404

    await eventually(gone)


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_health_needs_no_token(http: httpx.AsyncClient, path: str) -> None:
    del http.headers["Authorization"]

    async def well() -> bool:
        return (await http.get(f"http://roost.test{path}")).json() == {"status": "ok"}

    await eventually(well)


async def test_it_is_not_ready_while_callers_do_not_get_through(http: httpx.AsyncClient, rig: Rig) -> None:
    rig.gateway.available = False
    answer = await http.get("http://roost.test/readyz")
    assert "gateway" in refused(answer, 503)["detail"]


async def test_metrics_count_runtimes_and_starts(http: httpx.AsyncClient, agent: object) -> None:
    text = (await http.get("http://roost.test/metrics")).text
    assert 'roost_runtimes{status="active"} 1' in text
    assert "roost_replica_start_phase_seconds_bucket" in text
