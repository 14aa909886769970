"""What AgentBase's callers are told when something cannot be: clear, in its own envelope, on each of its paths."""

from typing import Any

import httpx
import pytest
from support.served import Served

from dialects.conftest import IMAGE, default, spec

pytestmark = pytest.mark.slow

Shown = dict[str, Any]
UNKNOWN = "00000000-0000-4000-8000-000000000000"


def refused(answer: httpx.Response, status: int, field: str | None = None) -> Shown:
    """The envelope of an answer that must be this error; `field` is what it must name."""
    assert answer.status_code == status, answer.text
    body: Shown = answer.json()
    assert set(body) <= {"code", "error", "message", "reason", "errors", "requestId"}
    assert body["code"] == status and body["message"].startswith("cannot "), body
    assert body["requestId"] == answer.headers["x-request-id"]
    if field is not None:
        assert field in [problem["field"] for problem in body["errors"]], body
    return body


def scaling(**changed: Any) -> Shown:
    return {"autoscaling": {**spec()["autoscaling"], **changed}}


BAD = [
    ({"name": "UPPER"}, "name"),
    ({"name": ""}, "name"),
    ({"imageUrl": ""}, "imageUrl"),
    ({"imageUrl": "NOT AN IMAGE"}, "imageUrl"),
    ({"imageUrl": 7}, "imageUrl"),
    ({"flavorId": "9x9-general"}, "flavorId"),
    (scaling(minReplicas=0), "autoscaling.minReplicas"),
    (scaling(maxReplicas=11), "autoscaling.maxReplicas"),
    (scaling(minReplicas=3, maxReplicas=2), "autoscaling"),
    (scaling(cpuUtilization=24), "autoscaling.cpuUtilization"),
    (scaling(cpuUtilization=76), "autoscaling.cpuUtilization"),
    (scaling(memoryUtilization=24), "autoscaling.memoryUtilization"),
    (scaling(memoryUtilization=76), "autoscaling.memoryUtilization"),
    (scaling(minReplicas="1"), "autoscaling.minReplicas"),
    ({"environmentVariables": {"1A": "x"}}, "environmentVariables"),
    ({"environmentVariables": {"A": 1}}, "environmentVariables.A"),
    ({"command": "python"}, "command"),
    ({"surprise": 1}, "surprise"),
    ({"networkConfig": {"mode": "VPC", "vpcId": "vpc-1", "subnetId": "sub-1"}}, "networkConfig"),
    ({"imageAuth": {"enabled": True}}, "imageAuth"),
    ({"imageAuth": {"enabled": True, "username": "robot"}}, "imageAuth.password"),
    ({"imageAuth": {"enabled": True, "useAgentBaseRegistryCredentials": True}}, "imageAuth"),
    ({"allowedCidrs": ["everywhere"]}, "allowedCidrs"),
    ({"inboundAuth": {"mode": "MAGIC"}}, "inboundAuth.mode"),
    ({"inboundAuth": {"mode": "JWT"}}, "inboundAuth.jwt"),
    (
        {"inboundAuth": {"mode": "JWT", "jwt": {"discoveryUrl": "https://id.example.com"}}},
        "inboundAuth.jwt.discoveryUrl",
    ),
    ({"inboundAuth": {"mode": "JWT", "jwt": {"jwks": {}}}}, "inboundAuth.jwt"),
    (
        {"inboundAuth": {"mode": "JWT", "jwt": {"jwks": {"keys": []}, "allowedScopes": ["call"]}}},
        "inboundAuth.jwt.allowedScopes",
    ),
    ({"description": "a\0b"}, "description"),
]


@pytest.mark.parametrize(("wrong", "field"), BAD)
def test_a_create_that_cannot_be_names_the_field_and_creates_nothing(
    http: httpx.Client, server: Served, name: str, wrong: Shown, field: str
) -> None:
    told = refused(http.post("/agent-runtimes", json={"name": name, **spec(), **wrong}), 400, field)
    assert field.split(".")[0] in told["message"] or told["errors"]
    assert server.http.get(f"/runtimes/{name}").status_code == 404


@pytest.mark.parametrize(("wrong", "field"), [case for case in BAD if "name" not in case[0]])
def test_an_update_that_cannot_be_names_the_field_and_changes_nothing(
    http: httpx.Client, agent: Shown, wrong: Shown, field: str
) -> None:
    path = f"/agent-runtimes/{agent['id']}"
    refused(http.patch(path, json={**spec("v2"), **wrong}), 400, field)
    assert http.get(f"{path}/versions").json()["totalItem"] == 1
    assert http.get(path).json()["updatedAt"] == agent["updatedAt"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"\xff\xfe", b"null"])
def test_a_body_that_cannot_be_read(http: httpx.Client, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    refused(http.post("/agent-runtimes", content=body, headers=headers), 400)


def test_a_name_that_is_taken(http: httpx.Client, agent: Shown) -> None:
    refused(http.post("/agent-runtimes", json={"name": agent["name"], **spec()}), 409, "name")
    path = f"/agent-runtimes/{agent['id']}/endpoints"
    refused(http.post(path, json={"name": "default"}), 409, "name")


@pytest.mark.parametrize("version", [0, -1, 9, 2**31, "x"])
def test_a_version_that_is_not_there(http: httpx.Client, agent: Shown, version: Any) -> None:
    path = f"/agent-runtimes/{agent['id']}/endpoints"
    one = f"{path}/{default(http, agent['id'])['id']}"
    refused(http.post(path, json={"name": "canary", "version": version}), 400, "version")
    refused(http.put(one, params={"version": version}), 400, "version")
    refused(http.patch(one, params={"version": version}), 400, "version")
    refused(http.patch(one, json={"version": version}), 400)
    assert http.get(one).json()["targetVersion"] == 1


def test_a_re_pointing_must_name_one_version(http: httpx.Client, agent: Shown) -> None:
    one = f"/agent-runtimes/{agent['id']}/endpoints/{default(http, agent['id'])['id']}"
    refused(http.put(one), 400, "version")
    refused(http.patch(one, json={}), 400, "version")
    refused(http.patch(one, params={"version": 1}, json={"version": 2}), 400, "version")
    assert http.patch(one, params={"version": 1}, json={"version": 1}).status_code == 200


@pytest.mark.parametrize(
    ("search", "field"),
    [
        ({"from": -1}, "from"),
        ({"from": 5001}, "from"),
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"fromTimestamp": "yesterday"}, "fromTimestamp"),
        ({"order": "random"}, "order"),
    ],
)
def test_a_search_that_cannot_be(http: httpx.Client, agent: Shown, search: Shown, field: str) -> None:
    refused(http.post(f"/agent-runtimes/{agent['id']}/logs", json=search), 400, field)


@pytest.mark.parametrize(
    "params",
    [
        {"fromTimestamp": "yesterday"},
        {"fromTimestamp": "2026-01-02T00:00:00Z", "toTimestamp": "2026-01-01T00:00:00Z"},
        {"fromTimestamp": "2999-01-01T00:00:00Z"},
    ],
)
def test_a_time_of_metrics_that_cannot_be(http: httpx.Client, agent: Shown, params: Shown) -> None:
    path = f"/agent-runtimes/{agent['id']}/endpoints/{default(http, agent['id'])['id']}/metrics"
    refused(http.get(path, params=params), 400, "fromTimestamp")


@pytest.mark.parametrize(("parameter", "value"), [("page", 0), ("page", "x"), ("size", 0), ("size", 1001)])
def test_a_page_that_cannot_be(http: httpx.Client, parameter: str, value: Any) -> None:
    refused(http.get("/agent-runtimes", params={parameter: value}), 400, parameter)


@pytest.mark.parametrize("path", ["", "/versions", "/endpoints", f"/endpoints/endpoint-{UNKNOWN}"])
def test_a_runtime_that_is_not_there(http: httpx.Client, path: str) -> None:
    assert UNKNOWN in refused(http.get(f"/agent-runtimes/runtime-{UNKNOWN}{path}"), 404)["message"]


def test_changing_a_runtime_that_is_not_there(http: httpx.Client) -> None:
    path = f"/agent-runtimes/runtime-{UNKNOWN}"
    refused(http.patch(path, json=spec()), 404)
    refused(http.delete(path), 404)
    refused(http.post(f"{path}/reset-service-account"), 404)
    refused(http.post(f"{path}/endpoints", json={"name": "canary", "version": 1}), 404)


def test_an_endpoint_that_is_not_there(http: httpx.Client, agent: Shown) -> None:
    one = f"/agent-runtimes/{agent['id']}/endpoints/endpoint-{UNKNOWN}"
    refused(http.get(one), 404)
    refused(http.put(one, params={"version": 1}), 404)
    refused(http.delete(one), 404)
    for verb in ("start", "stop", "logs"):
        refused(http.post(f"{one}/{verb}"), 404)
    refused(http.get(f"{one}/events"), 404)
    refused(http.get(f"{one}/metrics"), 404)


@pytest.mark.parametrize("path", ["/agent-runtimes", "/flavors", "/v1/flavors", "/agent-runtimes/a/endpoints/b/events"])
@pytest.mark.parametrize("token", [None, "Bearer wrong", "Basic dXNlcjpwYXNz"])
def test_no_token_or_a_wrong_one(server: Served, path: str, token: str | None) -> None:
    answer = httpx.get(f"{server.url}{path}", headers={"Authorization": token} if token else {})
    refused(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"


def test_paths_and_methods_that_are_none_of_its_own(http: httpx.Client) -> None:
    refused(http.get("/agent-runtimes/a/nowhere"), 404)
    refused(http.get("/agent-runtimes:search-traces"), 404)
    answer = http.put("/agent-runtimes")
    refused(answer, 405)
    assert answer.headers["allow"] == "GET, POST"
    assert set(http.get("/nowhere").json()) == {"code", "detail", "type"}


def test_a_body_that_is_too_large(http: httpx.Client) -> None:
    refused(
        http.post("/agent-runtimes", content=b"{" + b" " * (5 << 20), headers={"Content-Type": "application/json"}), 413
    )
    chunks = (b" " * (1 << 20) for _ in range(5))
    answer = http.post("/agent-runtimes", content=chunks, headers={"Content-Type": "application/json"})
    refused(answer, 413)


def test_a_request_id_is_kept(http: httpx.Client) -> None:
    answer = http.get("/agent-runtimes/nowhere", headers={"X-Request-Id": "mine-1"})
    assert refused(answer, 404)["requestId"] == "mine-1"


def test_a_password_is_asked_for_again_by_another_registry_only(http: httpx.Client, name: str) -> None:
    auth = {"enabled": True, "username": "robot", "password": "a-registry-password"}
    created = http.post("/agent-runtimes", json={"name": name, **spec(), "imageAuth": auth}).json()
    path = f"/agent-runtimes/{created['id']}"
    same = {**spec("v2"), "imageAuth": {"enabled": True, "username": "robot"}}
    assert http.patch(path, json=same).status_code == 200
    elsewhere = {**same, "imageUrl": IMAGE.replace("example.com", "example.org") + ":v1"}
    refused(http.patch(path, json=elsewhere), 400, "imageAuth.password")
