"""AgentBase's runtime service over HTTP: what its documents show with curl."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from roost_server.dialects.agentbase_shown import ENDPOINT_STATES, STATES
from roost_server.domain.endpoint import EndpointStatus
from roost_server.domain.runtime import Status
from support.installation import until
from support.served import Served

from dialects.conftest import IMAGE, active, default, spec

pytestmark = pytest.mark.slow

UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
Shown = dict[str, Any]


def gone(http: httpx.Client, runtime_id: str) -> bool:
    return http.get(f"/agent-runtimes/{runtime_id}").status_code == 404


def versions(http: httpx.Client, runtime_id: str) -> list[Shown]:
    found: list[Shown] = http.get(f"/agent-runtimes/{runtime_id}/versions").json()["listData"]
    return found


def test_a_public_image_is_created_and_becomes_active(http: httpx.Client, name: str) -> None:
    answer = http.post("/agent-runtimes", json={"name": name, **spec(description="Takes orders")})
    assert answer.status_code == 201, answer.text
    created = answer.json()
    assert re.fullmatch(f"runtime-{UUID}", created["id"])
    assert (created["name"], created["description"], created["status"]) == (name, "Takes orders", "CREATING")
    shown = active(http, created["id"])
    assert shown["imageUrl"] == f"{IMAGE}:v1" and shown["flavorId"] == "1x1-general"
    assert shown["autoscaling"] == spec()["autoscaling"] and shown["statusReason"] is None
    assert datetime.fromisoformat(shown["createdAt"]) <= datetime.fromisoformat(shown["updatedAt"])


def test_a_private_image_takes_credentials_and_never_shows_them(http: httpx.Client, name: str) -> None:
    credentials = {"enabled": True, "username": "robot$agent", "password": "a-registry-password"}
    created = http.post("/agent-runtimes", json={"name": name, **spec(), "imageAuth": credentials}).json()
    active(http, created["id"])
    for path in ("", "/versions", "/endpoints"):
        told = http.get(f"/agent-runtimes/{created['id']}{path}").text
        assert "a-registry-password" not in told and "robot$agent" not in told


def test_only_name_image_and_flavor_must_be_given_at_creation(http: httpx.Client, name: str) -> None:
    body = {"name": name, "imageUrl": f"{IMAGE}:v1", "flavorId": "1x1-general"}
    created = http.post("/agent-runtimes", json=body).json()
    assert created["autoscaling"]["maxReplicas"] == 1 and created["environmentVariables"] == {}


def test_creating_again_with_the_same_key_creates_nothing(http: httpx.Client, name: str) -> None:
    body, key = {"name": name, **spec()}, {"Idempotency-Key": name}
    first = http.post("/agent-runtimes", json=body, headers=key).json()
    assert http.post("/agent-runtimes", json=body, headers=key).json()["id"] == first["id"]
    other = http.post("/agent-runtimes", json={**body, "description": "another"}, headers=key)
    assert other.status_code == 409


def test_the_list_is_in_pages_from_one(http: httpx.Client, name: str) -> None:
    ids = [http.post("/agent-runtimes", json={"name": f"{name}-{n}", **spec()}).json()["id"] for n in range(3)]
    first = http.get("/agent-runtimes", params={"page": 1, "size": 2}).json()
    assert set(first) == {"listData", "page", "pageSize", "totalPage", "totalItem"}
    assert [one["id"] for one in first["listData"]] == [ids[2], ids[1]]
    assert (first["page"], first["pageSize"]) == (1, 2)
    assert first["totalPage"] == -(-first["totalItem"] // 2) and first["totalItem"] >= 3
    second = http.get("/agent-runtimes", params={"page": 2, "size": 2}).json()
    assert second["listData"][0]["id"] == ids[0]
    beyond = http.get("/agent-runtimes", params={"page": 1000, "size": 2}).json()
    assert beyond["listData"] == [] and beyond["totalItem"] == first["totalItem"]
    standard = http.get("/agent-runtimes").json()
    assert (standard["page"], standard["pageSize"]) == (1, 10)


def test_a_bare_id_means_the_same_as_one_with_its_prefix(http: httpx.Client, agent: Shown) -> None:
    bare = agent["id"].removeprefix("runtime-")
    assert http.get(f"/agent-runtimes/{bare}").json()["id"] == agent["id"]
    endpoint = default(http, bare)["id"].removeprefix("endpoint-")
    assert http.get(f"/agent-runtimes/{bare}/endpoints/{endpoint}").json()["name"] == "DEFAULT"


def test_an_update_replaces_the_whole_specification_as_a_new_version(http: httpx.Client, agent: Shown) -> None:
    scaling = {"minReplicas": 2, "maxReplicas": 3, "cpuUtilization": 60, "memoryUtilization": 70}
    changed = spec(
        "v2", description="v2", command=["python"], args=["main.py"], environmentVariables={"LOG_LEVEL": "info"}
    )
    changed |= {"flavorId": "2x4-general", "autoscaling": scaling}
    answer = http.patch(f"/agent-runtimes/{agent['id']}", json=changed)
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "UPDATING"
    shown = active(http, agent["id"], 2)
    assert {key: shown[key] for key in changed} == changed
    newest, oldest = versions(http, agent["id"])
    assert (newest["version"], oldest["version"]) == (2, 1)
    assert newest["agentRuntimeId"] == agent["id"] and newest["networkConfig"] == {"mode": "PUBLIC"}
    assert {key: newest[key] for key in changed} == changed
    assert oldest["imageUrl"] == f"{IMAGE}:v1" and oldest["flavorId"] == "1x1-general"
    assert default(http, agent["id"])["currentReplicaCount"] == 2


def test_what_only_roost_knows_of_survives_an_update(http: httpx.Client, server: Served, name: str) -> None:
    config = {"build": {"source": {"kind": "image", "ref": f"{IMAGE}:v1"}}, "metadata": {"labels": {"team": "x"}}}
    config |= {"sandbox": {"exposed_ports": [9000]}, "health": {"port": 3000}}
    native = server.http.post("/runtimes?wait=30", json={"name": name, "config": config}).json()
    assert http.get(f"/agent-runtimes/{native['id']}").json()["flavorId"] is None
    assert http.patch(f"/agent-runtimes/{native['id']}", json=spec("v2")).status_code == 200
    kept = server.http.get(f"/runtimes/{name}/config").json()["config"]
    assert kept["sandbox"]["exposed_ports"] == [9000] and kept["health"]["port"] == 3000
    assert kept["metadata"]["labels"] == {"team": "x"} and kept["build"]["source"]["ref"] == f"{IMAGE}:v2"


def test_the_contract_of_agents_is_health_on_8080(http: httpx.Client, server: Served, agent: Shown) -> None:
    config = server.http.get(f"/runtimes/{agent['name']}/config").json()["config"]
    assert (config["health"]["port"], config["health"]["path"]) == (8080, "/health")


@pytest.mark.parametrize("field", sorted(spec()))
def test_an_update_that_lacks_a_field_names_it_and_changes_nothing(
    http: httpx.Client, agent: Shown, field: str
) -> None:
    body = spec("v2")
    del body[field]
    answer = http.patch(f"/agent-runtimes/{agent['id']}", json=body)
    assert answer.status_code == 400 and field in answer.json()["message"]
    assert [problem["field"] for problem in answer.json()["errors"]] == [field]
    assert len(versions(http, agent["id"])) == 1


def test_an_update_that_lacks_many_fields_names_them_all(http: httpx.Client, agent: Shown) -> None:
    told = http.patch(f"/agent-runtimes/{agent['id']}", json={"imageUrl": f"{IMAGE}:v2"}).json()["message"]
    for field in spec():
        assert (field in told) == (field != "imageUrl"), told


def test_a_name_stays(http: httpx.Client, agent: Shown) -> None:
    path = f"/agent-runtimes/{agent['id']}"
    refused = http.patch(path, json={**spec(), "name": "another"})
    assert refused.status_code == 400 and refused.json()["errors"][0]["field"] == "name"
    assert http.patch(path, json={**spec(), "name": agent["name"]}).status_code == 200


def test_rolling_back_points_default_to_an_older_version(http: httpx.Client, agent: Shown) -> None:
    http.patch(f"/agent-runtimes/{agent['id']}", json=spec("v2"))
    active(http, agent["id"], 2)
    path = f"/agent-runtimes/{agent['id']}/endpoints/{default(http, agent['id'])['id']}"
    answer = http.patch(path, params={"version": 1})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["version"], answer.json()["targetVersion"]) == (1, 1)
    active(http, agent["id"], 1)


def test_an_update_makes_default_follow_the_latest_again(http: httpx.Client, agent: Shown) -> None:
    runtime = f"/agent-runtimes/{agent['id']}"
    http.patch(runtime, json=spec("v2"))
    http.put(f"{runtime}/endpoints/{default(http, agent['id'])['id']}", params={"version": 1})
    active(http, agent["id"], 1)
    http.patch(runtime, json=spec("v3"))
    active(http, agent["id"], 3)
    http.patch(runtime, json=spec("v4"))
    active(http, agent["id"], 4)


@pytest.mark.parametrize(
    ("verb", "params", "body"),
    [("PUT", {"version": 1}, None), ("PATCH", {"version": 1}, None), ("PATCH", {}, {"version": 1})],
)
def test_an_endpoint_is_pointed_by_query_or_by_body(
    http: httpx.Client, agent: Shown, verb: str, params: dict[str, int], body: dict[str, int] | None
) -> None:
    http.patch(f"/agent-runtimes/{agent['id']}", json=spec("v2"))
    created = http.post(f"/agent-runtimes/{agent['id']}/endpoints", json={"name": "staging", "version": 2}).json()
    path = f"/agent-runtimes/{agent['id']}/endpoints/{created['id']}"
    answer = http.request(verb, path, params=params, json=body) if body else http.request(verb, path, params=params)
    assert answer.status_code == 200 and answer.json()["version"] == 1, answer.text
    until(lambda: http.get(path).json()["liveVersion"] == 1)


def test_endpoints_are_created_listed_and_deleted(http: httpx.Client, agent: Shown) -> None:
    path = f"/agent-runtimes/{agent['id']}/endpoints"
    answer = http.post(path, json={"name": "canary", "version": 1})
    assert answer.status_code == 201, answer.text
    created = answer.json()
    assert re.fullmatch(f"endpoint-{UUID}", created["id"]) and created["agentRuntimeId"] == agent["id"]
    assert created["url"].endswith(f"{created['id'].removeprefix('endpoint-')}.localhost:7080")
    until(lambda: http.get(f"{path}/{created['id']}").json()["status"] == "ACTIVE")
    listed = http.get(path, params={"page": 1, "size": 20}).json()
    assert [one["name"] for one in listed["listData"]] == ["DEFAULT", "canary"]
    assert (listed["totalItem"], listed["totalPage"]) == (2, 1)
    assert set(listed["listData"][0]) == {
        *("id", "agentRuntimeId", "name", "version", "targetVersion", "liveVersion", "currentReplicaCount"),
        *("url", "status", "displayStatus", "createdAt", "updatedAt"),
    }
    assert http.delete(f"{path}/{created['id']}").json()["name"] == "canary"
    assert http.get(path).json()["totalItem"] == 1


def test_an_endpoint_without_a_version_is_pinned_to_the_latest_as_of_now(http: httpx.Client, agent: Shown) -> None:
    path = f"/agent-runtimes/{agent['id']}"
    created = http.post(f"{path}/endpoints", json={"name": "first"}).json()
    assert created["version"] == 1
    http.patch(path, json=spec("v2"))
    active(http, agent["id"], 2)
    assert http.get(f"{path}/endpoints/{created['id']}").json()["version"] == 1


def test_default_is_not_deleted_but_with_its_runtime(http: httpx.Client, agent: Shown) -> None:
    path = f"/agent-runtimes/{agent['id']}/endpoints/{default(http, agent['id'])['id']}"
    refused = http.delete(path)
    assert refused.status_code == 409 and "default" in refused.json()["message"]
    assert http.get(path).json()["status"] == "ACTIVE"


def test_deleting_a_runtime_removes_it_with_all_its_endpoints(http: httpx.Client, agent: Shown) -> None:
    http.post(f"/agent-runtimes/{agent['id']}/endpoints", json={"name": "canary", "version": 1})
    assert http.delete(f"/agent-runtimes/{agent['id']}").status_code == 200
    until(lambda: gone(http, agent["id"]))
    assert http.get(f"/agent-runtimes/{agent['id']}/endpoints").status_code == 404


def test_stopping_default_stops_the_runtime_and_starting_it_starts_it(http: httpx.Client, agent: Shown) -> None:
    path = f"/agent-runtimes/{agent['id']}/endpoints/{default(http, agent['id'])['id']}"
    stopped = http.post(f"{path}/stop")
    assert (stopped.status_code, stopped.content) == (200, b"")
    until(lambda: http.get(f"/agent-runtimes/{agent['id']}").json()["status"] == "STOPPED")
    assert http.get(path).json()["status"] == "STOPPED"
    assert http.post(f"{path}/start").status_code == 200
    active(http, agent["id"])


def test_an_image_that_cannot_be_had_is_an_error_that_says_why(http: httpx.Client, name: str) -> None:
    body = {"name": name, **spec(imageUrl="registry.example.com/team/image_unauthorized:v1")}
    created = http.post("/agent-runtimes", json=body).json()
    path = f"/agent-runtimes/{created['id']}"
    until(lambda: http.get(path).json()["status"] == "ERROR")
    assert "image_unauthorized" in http.get(path).json()["statusReason"]
    assert default(http, created["id"])["status"] == "ERROR"


def test_flavors_are_listed_on_both_paths(http: httpx.Client) -> None:
    listed = http.get("/flavors").json()
    assert listed[0] == {
        "id": "1x1-general",
        "name": "1x1-general",
        "cpu": 1,
        "ram": 1024,
        "supportedResourceTypes": ["agent-runtime"],
        "enabled": True,
        "deleted": False,
    }
    assert http.get("/v1/flavors").json() == http.get("/flavors?resourceType=agent-runtime").json() == listed
    assert http.get("/flavors?resourceType=agent-runtime-vpc").json() == []


def test_logs_are_searched_by_place_time_and_text(http: httpx.Client, agent: Shown) -> None:
    path = f"/agent-runtimes/{agent['id']}"
    http.patch(path, json=spec("v2", command=["serve"]))
    active(http, agent["id"], 2)
    everything = http.post(f"{path}/logs", json={"from": 0, "limit": 100}).json()
    assert [line["content"] for line in everything["logs"]] == ["started the image", "started serve"]
    assert everything["totalCount"] == 2
    second = http.post(f"{path}/logs", json={"from": 1, "limit": 1}).json()
    assert (second["totalCount"], second["logs"][0]["content"]) == (2, "started serve")
    found = http.post(f"{path}/logs", json={"query": "SERVE"}).json()
    assert (found["totalCount"], len(found["logs"])) == (1, 1)
    backwards = http.post(f"{path}/logs", json={"order": "desc"}).json()["logs"]
    assert backwards == everything["logs"][::-1]
    after = datetime.fromisoformat(everything["logs"][0]["timestamp"]) + timedelta(microseconds=1)
    later = http.post(f"{path}/logs", json={"fromTimestamp": after.isoformat()}).json()
    assert [line["content"] for line in later["logs"]] == ["started serve"]
    assert http.post(f"{path}/logs").json() == everything


def test_an_endpoints_logs_are_those_of_what_it_served_also_when_it_is_stopped(
    http: httpx.Client, agent: Shown
) -> None:
    path = f"/agent-runtimes/{agent['id']}"
    first = http.post(f"{path}/endpoints", json={"name": "first", "version": 1}).json()
    http.patch(path, json=spec("v2", command=["serve"]))
    active(http, agent["id"], 2)
    second = http.post(f"{path}/endpoints", json={"name": "second", "version": 2}).json()
    until(lambda: http.get(f"{path}/endpoints/{second['id']}").json()["liveVersion"] == 2)

    def told(endpoint: Shown) -> list[str]:
        answer = http.post(f"{path}/endpoints/{endpoint['id']}/logs", json={})
        return [line["content"] for line in answer.json()["logs"]]

    everything = {"first": ["started the image"], "second": ["started serve"]}
    everything["DEFAULT"] = [*everything["first"], *everything["second"]]
    assert {one["name"]: told(one) for one in (default(http, agent["id"]), first, second)} == everything
    for one in (default(http, agent["id"]), second, first):
        http.post(f"{path}/endpoints/{one['id']}/stop")
    until(lambda: http.get(path).json()["status"] == "STOPPED")
    assert {one["name"]: told(one) for one in (default(http, agent["id"]), first, second)} == everything


def test_metrics_are_two_series(http: httpx.Client, agent: Shown) -> None:
    path = f"/agent-runtimes/{agent['id']}/endpoints/{default(http, agent['id'])['id']}/metrics"
    until(lambda: http.get(path).json()["memoryBytesUsage"])
    told = http.get(path).json()
    assert set(told) == {"cpuCoresUsage", "memoryBytesUsage"}
    assert told["memoryBytesUsage"][0]["value"] == 1 << 20 and told["cpuCoresUsage"][0]["value"] >= 0
    assert datetime.fromisoformat(told["memoryBytesUsage"][0]["timestamp"]) <= datetime.now(UTC)
    past = {"fromTimestamp": "2020-01-01T00:00:00Z", "toTimestamp": "2020-01-02T00:00:00Z"}
    assert http.get(path, params=past).json() == {"cpuCoresUsage": [], "memoryBytesUsage": []}


def test_an_endpoints_events_are_told_newest_first(http: httpx.Client, agent: Shown) -> None:
    path = f"/agent-runtimes/{agent['id']}/endpoints/{default(http, agent['id'])['id']}/events"
    told = http.get(path).json()
    assert all(set(event) == {"message", "lastTimestamp"} for event in told)
    assert f"created with {IMAGE}:v1" in told[-1]["message"]
    times = [datetime.fromisoformat(event["lastTimestamp"]) for event in told]
    assert times == sorted(times, reverse=True)


def test_poc_is_kept_and_shown(http: httpx.Client, name: str) -> None:
    created = http.post("/agent-runtimes", json={"name": name, **spec(), "poc": True}).json()
    path = f"/agent-runtimes/{created['id']}"
    assert created["poc"] is True
    assert http.patch(path, json=spec("v2")).json()["poc"] is True
    assert http.patch(path, json={**spec("v3"), "poc": False}).json()["poc"] is False


def test_who_may_call_default_is_set_kept_and_shown(http: httpx.Client, server: Served, name: str) -> None:
    discovery = "https://id.example.com/.well-known/openid-configuration"
    jwt = {"discoveryUrl": discovery, "allowedAudiences": ["agents"]}
    guarded = {"allowedCidrs": ["10.0.0.0/8"], "inboundAuth": {"mode": "JWT", "jwt": jwt}}
    created = http.post("/agent-runtimes", json={"name": name, **spec(), **guarded}).json()
    path = f"/agent-runtimes/{created['id']}"

    def access() -> Shown:
        found: Shown = server.http.get(f"/runtimes/{name}/endpoints/DEFAULT").json()["access"]
        return found

    assert (access()["mode"], access()["allowed_cidrs"]) == ("jwt", ["10.0.0.0/8"])
    assert (access()["jwt"]["issuer"], access()["jwt"]["audiences"]) == ("https://id.example.com", ["agents"])
    shown = http.patch(path, json=spec("v2")).json() and versions(http, created["id"])[0]
    assert shown["allowedCidrs"] == ["10.0.0.0/8"] and shown["inboundAuth"]["jwt"]["discoveryUrl"] == discovery
    http.patch(path, json={**spec("v3"), "inboundAuth": {"mode": "IAM"}, "allowedCidrs": []})
    assert (access()["mode"], access()["jwt"], access()["allowed_cidrs"]) == ("token", None, [])
    http.patch(path, json={**spec("v4"), "inboundAuth": {"mode": "NONE"}})
    assert access()["mode"] == "public"


def test_the_builtin_image_is_deployed_by_its_name(http: httpx.Client, name: str) -> None:
    created = http.post("/agent-runtimes", json={"name": name, **spec(imageUrl="builtin:runtime")}).json()
    assert active(http, created["id"])["imageUrl"] == "builtin:runtime"


def test_every_state_has_a_word_of_agentbase() -> None:
    words = {"CREATING", "ACTIVE", "UPDATING", "ERROR", "DELETING", "STARTING", "STOPPING", "STOPPED"}
    assert set(STATES) == set(Status) and set(STATES.values()) == words
    assert set(ENDPOINT_STATES) == set(EndpointStatus) and set(ENDPOINT_STATES.values()) == words
