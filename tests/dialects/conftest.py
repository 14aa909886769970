"""One server with simulated boxes for the whole folder; each test works with runtimes of its own names."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from support import served
from support.installation import until
from support.served import TOKEN, Served

IMAGE = "registry.example.com/team/agent"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("roost")
    quick = {"stop_grace_seconds": "0.05", "drain_seconds": "0.2", "rollback_seconds": "0", "measure_seconds": "1"}
    with served.running(folder, **quick) as started:
        yield started


@pytest.fixture(scope="session")
def http(server: Served) -> Iterator[httpx.Client]:
    """A client with a good token, at the server's root."""
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30) as opened:
        yield opened


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"a{uuid4().hex[:12]}"


def spec(tag: str = "v1", **fields: Any) -> dict[str, Any]:
    """A whole specification, as an update wants it."""
    scaling = {"minReplicas": 1, "maxReplicas": 1, "cpuUtilization": 50, "memoryUtilization": 50}
    whole = {
        "description": "",
        "imageUrl": f"{IMAGE}:{tag}",
        "command": [],
        "args": [],
        "environmentVariables": {},
        "flavorId": "1x1-general",
        "autoscaling": scaling,
    }
    return {**whole, **fields}


def active(http: httpx.Client, runtime_id: str, version: int | None = None) -> dict[str, Any]:
    """The runtime once it is ACTIVE, with its DEFAULT endpoint serving this version."""

    def look() -> dict[str, Any]:
        shown: dict[str, Any] = http.get(f"/agent-runtimes/{runtime_id}").json()
        assert shown["status"] != "ERROR", shown
        arrived = version is None or default(http, runtime_id)["liveVersion"] == version
        return shown if shown["status"] == "ACTIVE" and arrived else {}

    return until(look)


def default(http: httpx.Client, runtime_id: str) -> dict[str, Any]:
    """The DEFAULT endpoint."""
    listed = http.get(f"/agent-runtimes/{runtime_id}/endpoints").json()["listData"]
    return next(one for one in listed if one["name"] == "DEFAULT")


@pytest.fixture
def agent(http: httpx.Client, name: str) -> dict[str, Any]:
    """A runtime that is active at version 1."""
    answer = http.post("/agent-runtimes", json={"name": name, **spec()})
    assert answer.status_code == 201, answer.text
    return active(http, answer.json()["id"], 1)
