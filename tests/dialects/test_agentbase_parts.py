"""What only the parts behind AgentBase's paths show: passwords that are given to registries, whose workspace, bugs."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from roost_server import server
from roost_server.domain.ids import new_id
from roost_server.domain.runtime import Status
from roost_server.operations.caller import hash_token
from roost_server.store import flavors, leases, tables, workspaces
from sqlalchemy import insert
from support import platform
from support.platform import TOKEN, Rig
from support.waiting import eventually

from dialects.conftest import spec

AUTH = {"enabled": True, "username": "robot", "password": "a-registry-password"}


@pytest.fixture
async def rig(tmp_path: Path, database_url: str) -> AsyncIterator[Rig]:
    """Its loops run."""
    async with platform.opened(tmp_path, database_url) as prepared:
        prepared.start()
        yield prepared


@pytest.fixture
def app(rig: Rig) -> FastAPI:
    return server.application(rig.platform.api())


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://roost.test", headers=headers) as opened:
        yield opened


async def passwords(rig: Rig, count: int) -> list[str | None]:
    """With which images were pulled, once there were so many pulls."""

    async def look() -> list[str | None]:
        return rig.images.passwords if len(rig.images.passwords) >= count else []

    return await eventually(look)


async def test_a_flavor_that_the_machine_cannot_hold_is_not_enabled(rig: Rig, http: httpx.AsyncClient) -> None:
    async with rig.store.write() as tx:
        await flavors.insert(tx, "huge", "", 100, 512)
    listed = {one["name"]: one["enabled"] for one in (await http.get("/flavors")).json()}
    assert listed.pop("huge") is False and set(listed.values()) == {True}


async def test_a_password_is_kept_over_updates_that_leave_it_or_all_of_image_auth_out(
    rig: Rig, http: httpx.AsyncClient
) -> None:
    created = (await http.post("/agent-runtimes", json={"name": "agent", **spec(), "imageAuth": AUTH})).json()
    path = f"/agent-runtimes/{created['id']}"
    assert await passwords(rig, 1) == ["a-registry-password"]
    for number, image_auth in enumerate([None, {"enabled": True, "username": "robot"}, {**AUTH, "password": "new"}], 2):
        body = {**spec(f"v{number}"), "imageAuth": image_auth}
        assert (await http.patch(path, json=body)).status_code == 200
        await passwords(rig, number)
    assert rig.images.passwords == ["a-registry-password"] * 3 + ["new"]


async def test_a_password_is_given_to_no_other_registry_and_forgotten_when_disabled(
    rig: Rig, http: httpx.AsyncClient
) -> None:
    created = (await http.post("/agent-runtimes", json={"name": "agent", **spec(), "imageAuth": AUTH})).json()
    path = f"/agent-runtimes/{created['id']}"
    await passwords(rig, 1)
    assert (await http.patch(path, json=spec(imageUrl="registry.example.org/team/agent:v1"))).status_code == 200
    assert await passwords(rig, 2) == ["a-registry-password", None]
    disabled = {**spec("v3"), "imageAuth": {"enabled": False}}
    assert (await http.patch(path, json=disabled)).status_code == 200
    assert await passwords(rig, 3) == ["a-registry-password", None, None]


async def test_the_workspace_is_the_tokens_own(rig: Rig, http: httpx.AsyncClient) -> None:
    async with rig.store.write() as tx:
        other = await workspaces.create(tx, "acme", "research")
        columns = {"id": new_id(), "name": "ci", "role": "admin", "created_at": leases.now()}
        await tx.run(
            insert(tables.tokens).values(hash=hash_token("the-token-of-research"), workspace_id=other.id, **columns)
        )
    theirs = {"Authorization": "Bearer the-token-of-research"}
    mine = (await http.post("/agent-runtimes", json={"name": "agent", **spec()})).json()
    made = (await http.post("/agent-runtimes", json={"name": "agent", **spec()}, headers=theirs)).json()
    assert [one["id"] for one in (await http.get("/agent-runtimes", headers=theirs)).json()["listData"]] == [made["id"]]
    assert (await http.get(f"/agent-runtimes/{mine['id']}", headers=theirs)).status_code == 404
    assert [one["id"] for one in (await http.get("/agent-runtimes")).json()["listData"]] == [mine["id"]]


async def test_an_update_of_a_stopped_runtime_waits_for_its_start(rig: Rig, http: httpx.AsyncClient) -> None:
    created = (await http.post("/agent-runtimes", json={"name": "agent", **spec()})).json()
    await rig.until("agent", Status.ACTIVE)
    await rig.act("stop", "agent")
    await rig.until("agent", Status.STOPPED)
    updated = await http.patch(f"/agent-runtimes/{created['id']}", json=spec("v2"))
    assert updated.json()["status"] == "STOPPED"
    await rig.act("start", "agent")
    await rig.until("agent", Status.ACTIVE)
    assert (await rig.endpoint("agent")).endpoint.live == {2: 100}


async def test_a_bug_is_told_in_its_own_envelope(app: FastAPI, http: httpx.AsyncClient) -> None:
    app.state.api = None
    answer = await http.get("/agent-runtimes")
    assert answer.status_code == 500 and answer.json()["requestId"] == answer.headers["x-request-id"]
    assert answer.json()["requestId"] in answer.json()["message"] and "NoneType" not in answer.text
