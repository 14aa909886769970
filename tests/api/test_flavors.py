"""Flavors over HTTP: the catalogue, who may change it, and what versions make of it."""

from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from roost_server.domain.ids import new_id
from roost_server.operations.caller import hash_token
from roost_server.store import leases, tables
from support.platform import CAPACITY, Rig

from api.envelopes import refused

SMALL = {"name": "small", "cpu_cores": 0.5, "memory_mb": 512}
SIZE = ("cpu_cores", "memory_mb")


@pytest.fixture
async def small(http: httpx.AsyncClient) -> dict[str, Any]:
    answer = await http.post("/flavors", json=SMALL)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def as_role(http: httpx.AsyncClient, rig: Rig, role: str) -> None:
    """From here on the client has a token of this role."""
    values = {"id": new_id(), "name": role, "hash": hash_token(role), "role": role, "created_at": leases.now()}
    async with rig.store.write() as tx:
        await tx.run(sa.insert(tables.tokens).values(**values))
    http.headers["Authorization"] = f"Bearer {role}"


async def deploy(http: httpx.AsyncClient, flavor: str = "small", **size: Any) -> httpx.Response:
    config = {"resources": {"flavor": flavor, **size}}
    return await http.post("/runtimes?wait=30", json={"name": "agent", "config": config})


async def test_a_fresh_installation_offers_sizes_and_says_which_fit(http: httpx.AsyncClient) -> None:
    found = {one["name"]: one for one in (await http.get("/flavors")).json()["items"]}
    assert {"1x1-general", "1x2-general", "2x4-general", "4x16-general"} <= set(found)
    assert (found["1x2-general"]["cpu_cores"], found["1x2-general"]["memory_mb"]) == (1, 2048)
    assert all(one["available"] == (one["memory_mb"] <= CAPACITY.memory_mb) for one in found.values())


async def test_a_flavor_is_made_read_changed_and_removed(http: httpx.AsyncClient, small: dict[str, Any]) -> None:
    assert (small["cpu_cores"], small["memory_mb"], small["available"], small["revision"]) == (0.5, 512, True, 1)
    assert (await http.get("/flavors/small")).json() == small == (await http.get(f"/flavors/{small['id']}")).json()
    changed = (await http.patch("/flavors/small", json={"memory_mb": 256, "description": "tiny"})).json()
    assert (changed["cpu_cores"], changed["memory_mb"], changed["description"]) == (0.5, 256, "tiny")
    assert changed["revision"] == 2
    assert (await http.delete("/flavors/small")).status_code == 204
    refused(await http.get("/flavors/small"), 404)
    refused(await http.delete("/flavors/small"), 404)


async def test_flavors_come_in_pages(http: httpx.AsyncClient, small: dict[str, Any]) -> None:
    first = (await http.get("/flavors?limit=1")).json()
    assert first["items"] == [small]
    second = (await http.get(f"/flavors?limit=1&cursor={first['next_cursor']}")).json()
    assert second["items"][0]["name"] != "small"


async def test_the_same_key_makes_one_flavor(http: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "one"}
    first = await http.post("/flavors", json=SMALL, headers=key)
    again = await http.post("/flavors", json=SMALL, headers=key)
    assert (first.status_code, again.status_code, first.json()) == (201, 201, again.json())
    refused(await http.post("/flavors", json={**SMALL, "memory_mb": 64}, headers=key), 409)
    await http.delete("/flavors/small")
    refused(await http.post("/flavors", json=SMALL, headers=key), 409)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "Large"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "-x"}, "name"),
        ({"name": "0b6fa8a6-4f7c-4a0e-9f0e-2d9a2a3f1c11"}, "name"),
        ({"cpu_cores": 0}, "cpu_cores"),
        ({"cpu_cores": "1"}, "cpu_cores"),
        ({"cpu_cores": CAPACITY.cpu_cores + 0.5}, "cpu_cores"),
        ({"memory_mb": 63}, "memory_mb"),
        ({"memory_mb": CAPACITY.memory_mb + 1}, "memory_mb"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_flavor_that_cannot_be_names_its_field(
    http: httpx.AsyncClient, small: dict[str, Any], change: dict[str, Any], field: str
) -> None:
    refused(await http.post("/flavors", json={**SMALL, "name": "other", **change}), 422, field)
    if field in SIZE:
        refused(await http.patch("/flavors/small", json=change), 422, field)
        assert (await http.get("/flavors/small")).json() == small


async def test_a_taken_name_is_refused(http: httpx.AsyncClient, small: dict[str, Any]) -> None:
    assert refused(await http.post("/flavors", json=SMALL), 409, "name")["type"] == "already_exists_error"


async def test_a_stale_revision_changes_nothing(http: httpx.AsyncClient, small: dict[str, Any]) -> None:
    await http.patch("/flavors/small", json={"description": "new"}, headers={"If-Match": '"1"'})
    refused(await http.patch("/flavors/small", json={"description": "x"}, headers={"If-Match": '"1"'}), 409)
    refused(await http.delete("/flavors/small", headers={"If-Match": '"1"'}), 409)
    assert (await http.get("/flavors/small")).json()["description"] == "new"


async def test_only_administrators_change_the_catalogue(
    http: httpx.AsyncClient, rig: Rig, small: dict[str, Any]
) -> None:
    await as_role(http, rig, "member")
    for answer in (
        await http.post("/flavors", json={**SMALL, "name": "mine"}),
        await http.patch("/flavors/small", json={"memory_mb": 64}),
        await http.delete("/flavors/small"),
    ):
        assert "ask an administrator" in refused(answer, 403)["detail"]
    assert (await http.get("/flavors/small")).json() == small
    await as_role(http, rig, "admin")
    assert (await http.patch("/flavors/small", json={"memory_mb": 64})).status_code == 200


async def test_a_version_has_the_numbers_that_its_flavor_had(http: httpx.AsyncClient, small: dict[str, Any]) -> None:
    assert (await deploy(http)).json()["status"] == "active"
    await http.patch("/flavors/small", json={"memory_mb": 256})
    config = (await http.get("/runtimes/agent/config")).json()
    assert config["config"]["resources"]["flavor"] == "small"
    assert (await http.put("/runtimes/agent/config", json=config)).status_code == 200
    await http.delete("/flavors/small")
    found = (await http.get("/runtimes/agent/versions")).json()["items"]
    assert [(one["version"], one["cpu_cores"], one["memory_mb"]) for one in found] == [(2, 0.5, 256), (1, 0.5, 512)]
    assert "small" in refused(await http.put("/runtimes/agent/config", json=config), 422)["detail"]


async def test_an_unknown_flavor_names_the_field(http: httpx.AsyncClient) -> None:
    refused(await deploy(http, "nothing"), 422, "config.resources.flavor")


@pytest.mark.parametrize("number", [{"cpu_cores": 1}, {"memory_mb": 512}])
async def test_a_flavor_and_numbers_at_once_are_refused(http: httpx.AsyncClient, number: dict[str, int]) -> None:
    assert "either" in refused(await deploy(http, "1x1-general", **number), 422, "config.resources")["detail"]


async def test_a_flavor_too_large_for_the_machine_is_shown_so_and_refused(http: httpx.AsyncClient, rig: Rig) -> None:
    async with rig.store.write() as tx:
        values = {"id": new_id(), "description": "", "revision": 1}
        values |= {"name": "huge", "cpu_cores": 100.0, "memory_mb": 512}
        await tx.run(sa.insert(tables.flavors).values(**values, created_at=leases.now(), updated_at=leases.now()))
    assert (await http.get("/flavors/huge")).json()["available"] is False
    body = refused(await deploy(http, "huge"), 422, "config.resources.flavor")
    assert body["reason"] == "no_capacity"
    assert (await http.patch("/flavors/huge", json={"description": "for the next machine"})).status_code == 200
