"""What an earlier release accepted stays readable, whatever today's rules say of it; what is sent is held to them."""

from dataclasses import replace
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from roost_server.domain import errors
from roost_server.domain.config import RuntimeConfig
from roost_server.domain.runtime import Status
from roost_server.operations import deployments
from roost_server.store import endpoints, tables, versions
from support.platform import Rig

from api.envelopes import refused

LIMIT = {"requests": 2_000_000, "per_seconds": 1}
ACCESS = {"mode": "public", "allowed_cidrs": [], "rate_limit": LIMIT, "jwt": None, "retired": 1}
PATHS = ("", "/config", "/versions", "/versions/1", "/versions/1/diff?other=1", "/endpoints", "/endpoints/DEFAULT")


@pytest.fixture
async def old(rig: Rig, http: httpx.AsyncClient, agent: dict[str, Any]) -> dict[str, Any]:
    """The runtime with rows that an earlier release could have written."""
    async with rig.store.write() as tx:
        version = await versions.get(tx, agent["id"], 1)
        assert version is not None
        config = versions.to_document(version.config)
        config["autoscaling"]["cpu_utilization"] = 99
        config["metadata"]["labels"] = {"-": "odd"}
        config["sandbox"]["retired"] = 1
        await tx.run(sa.update(tables.versions).values(config=config))
        await tx.run(sa.update(tables.endpoints).values(access=ACCESS))
    return agent


async def test_everything_of_it_is_shown(http: httpx.AsyncClient, old: dict[str, Any]) -> None:
    for path in PATHS:
        answer = await http.get(f"/runtimes/agent{path}")
        assert answer.status_code == 200, (path, answer.text)
    shown = (await http.get("/runtimes/agent/config")).json()["config"]
    assert shown["autoscaling"]["cpu_utilization"] == 99
    assert "retired" not in shown["sandbox"]
    shown = (await http.get("/runtimes/agent/endpoints/DEFAULT")).json()["access"]
    assert shown["rate_limit"] == LIMIT


async def test_it_is_still_worked_on(rig: Rig, http: httpx.AsyncClient, old: dict[str, Any]) -> None:
    await http.post("/runtimes/agent/stop?wait=30")
    assert (await http.post("/runtimes/agent/start?wait=30")).json()["status"] == Status.ACTIVE
    async with rig.store.read() as tx:
        assert await endpoints.key_urls(tx) == set()


async def test_what_is_sent_is_held_to_the_rules_of_today(http: httpx.AsyncClient, old: dict[str, Any]) -> None:
    config = (await http.get("/runtimes/agent/config")).json()["config"]
    answer = await http.put("/runtimes/agent/config", json={"config": config})
    refused(answer, 422, "config.autoscaling.cpu_utilization")
    access = (await http.get("/runtimes/agent/endpoints/DEFAULT")).json()["access"]
    answer = await http.patch("/runtimes/agent/endpoints/DEFAULT", json={"access": access})
    refused(answer, 422, "access.rate_limit.requests")


async def test_a_change_on_top_of_it_says_what_is_not_accepted_any_more(rig: Rig, old: dict[str, Any]) -> None:
    def described(before: RuntimeConfig) -> RuntimeConfig:
        return replace(before, metadata=replace(before.metadata))

    wanted = deployments.Replacement("", described, lambda access: access)
    with pytest.raises(errors.Invalid, match=r"not accepted any more .*label key"):
        await deployments.replace(rig.context, rig.caller, "agent", wanted)
