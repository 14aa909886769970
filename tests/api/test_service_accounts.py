"""Service accounts: what is shown of them, what a reset does to replicas, and what replicas are told."""

import asyncio
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from roost_server.domain.route import Snapshot
from roost_server.domain.runtime import Status
from roost_server.store import tables
from support.platform import Rig

from api.envelopes import refused
from api.test_access_tokens import variables


async def test_everything_but_the_secret_is_shown(http: httpx.AsyncClient, agent: dict[str, Any]) -> None:
    shown = (await http.get("/runtimes/agent/service-account")).json()
    assert set(shown) == {"client_id", "agent_identity", "token_url", "created_at", "updated_at"}
    assert (shown["client_id"], shown["agent_identity"]) == (f"sa-{agent['id']}", "agent")
    assert shown["token_url"].endswith("/oauth/token")


async def test_a_replica_is_told_who_it_is(http: httpx.AsyncClient, agent: dict[str, Any]) -> None:
    seen = await variables(http, "agent")
    shown = (await http.get("/runtimes/agent/service-account")).json()
    for product in ("ROOST", "GREENNODE"):
        assert seen[f"{product}_CLIENT_ID"] == shown["client_id"]
        assert seen[f"{product}_CLIENT_SECRET"].startswith("roost_sa_")
        assert seen[f"{product}_AGENT_IDENTITY"] == "agent"
        assert seen[f"{product}_ENDPOINT_URL"] == agent["url"]
    assert seen["ROOST_TOKEN_URL"] == shown["token_url"] == seen["ROOST_URL"] + "/oauth/token"
    assert seen["ROOST_JWKS_URL"] == seen["ROOST_URL"] + "/.well-known/jwks.json"
    assert (seen["ROOST_ORG"], seen["ROOST_WORKSPACE"]) == ("default", "default")


async def test_what_the_platform_says_wins_over_the_configuration(http: httpx.AsyncClient) -> None:
    own = {"ROOST_CLIENT_SECRET": "mine", "GREENNODE_CLIENT_ID": "mine", "ROOST_RUNTIME_ID": "mine", "OTHER": "mine"}
    config = {"runtime_server": {"env": own}}
    await http.post("/runtimes?wait=30", json={"name": "own", "config": config})
    seen = await variables(http, "own")
    assert [name for name in own if seen[name] == "mine"] == ["OTHER"]


async def test_a_reset_replaces_replicas_one_for_one(http: httpx.AsyncClient, agent: dict[str, Any], rig: Rig) -> None:
    told = len(rig.gateway.snapshots)
    before, secret = await rig.replicas("agent"), (await variables(http, "agent"))["ROOST_CLIENT_SECRET"]
    shown = (await http.post("/runtimes/agent/service-account/reset?wait=30")).json()
    assert shown["updated_at"] > shown["created_at"]
    await rig.until("agent", Status.ACTIVE)
    after = await rig.replicas("agent")
    assert not {row.id for row in before} & {row.id for row in after if row.status == "ready"}
    assert (await variables(http, "agent"))["ROOST_CLIENT_SECRET"] != secret
    assert "service_account.reset" in await rig.event_types("agent")
    assert all(serving(snapshot) for snapshot in rig.gateway.snapshots[told:])


def serving(snapshot: Snapshot) -> list[str]:
    """Replicas that new requests for the agent go to."""
    [route] = snapshot.routes
    pools = [pool for pool in route.pools if pool.weight]
    return [one.replica_id for pool in pools for one in pool.backends if not one.draining]


async def test_of_resets_at_once_the_last_one_counts(http: httpx.AsyncClient, agent: dict[str, Any], rig: Rig) -> None:
    path = "/runtimes/agent/service-account/reset"
    answers = await asyncio.gather(*[http.post(path) for _ in range(4)])
    assert {answer.status_code for answer in answers} == {200}
    await rig.until("agent", Status.ACTIVE)
    async with rig.store.read() as tx:
        row = await tx.first(sa.select(tables.service_accounts))
    assert row is not None
    kept = rig.context.cipher.decrypt(row["secret_encrypted"])
    assert (await variables(http, "agent"))["ROOST_CLIENT_SECRET"] == kept


async def test_a_stopped_runtime_starts_with_the_new_secret(
    http: httpx.AsyncClient, agent: dict[str, Any], rig: Rig
) -> None:
    secret = (await variables(http, "agent"))["ROOST_CLIENT_SECRET"]
    await http.post("/runtimes/agent/stop?wait=30")
    await http.post("/runtimes/agent/service-account/reset?wait=30")
    assert (await http.get("/runtimes/agent")).json()["status"] == "stopped"
    await http.post("/runtimes/agent/start?wait=30")
    assert (await variables(http, "agent"))["ROOST_CLIENT_SECRET"] != secret


async def test_a_runtime_of_before_there_were_accounts_gets_one_when_it_needs_it(
    http: httpx.AsyncClient, agent: dict[str, Any], rig: Rig
) -> None:
    async with rig.store.write() as tx:
        await tx.run(sa.delete(tables.service_accounts))
    await http.post("/runtimes/agent/restart?wait=30")
    await rig.until("agent", Status.ACTIVE)
    assert (await variables(http, "agent"))["ROOST_CLIENT_ID"] == f"sa-{agent['id']}"
    async with rig.store.write() as tx:
        await tx.run(sa.delete(tables.service_accounts))
    assert (await http.get("/runtimes/agent/service-account")).json()["client_id"] == f"sa-{agent['id']}"
    async with rig.store.write() as tx:
        await tx.run(sa.delete(tables.service_accounts))
    assert (await http.post("/runtimes/agent/service-account/reset")).status_code == 200


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", "/reset")])
async def test_only_runtimes_have_one(http: httpx.AsyncClient, method: str, path: str) -> None:
    refused(await http.request(method, f"/runtimes/nobody/service-account{path}"), 404)
