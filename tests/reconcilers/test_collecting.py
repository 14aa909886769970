"""Collecting: what only ever becomes more is bounded by itself."""

import pytest
import sqlalchemy as sa
from roost_server.domain.canary import CanaryStatus, Terms
from roost_server.domain.runtime import Status
from roost_server.store import canaries, chores, events, leases, tables
from support.platform import Rig
from support.waiting import eventually


async def rows_of(rig: Rig, table: sa.Table) -> int:
    async with rig.store.read() as tx:
        row = await tx.first(sa.select(sa.func.count().label("n")).select_from(table))
        return int(row["n"]) if row else 0


async def test_events_actions_and_ended_canaries_are_trimmed(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "KEPT_PER_RUNTIME", 2)
    monkeypatch.setattr(events, "ACTIONS_KEPT_PER_WORKSPACE", 2)
    monkeypatch.setattr(canaries, "ENDED_KEPT_PER_RUNTIME", 2)
    endpoint = (await rig.create("agent")).endpoints[0].endpoint
    await rig.until("agent", Status.ACTIVE)
    async with rig.store.write() as tx:
        for _ in range(4):
            canary = await canaries.insert(tx, endpoint, 1, 1, Terms())
            await canaries.set_status(tx, canary, CanaryStatus.ABORTED)
            await events.record(tx, endpoint.runtime_id, "x", "happened")
            await events.record_action(tx, rig.caller.workspace_id, None, "x", "somebody", None)
        await leases.wake(tx, tables.chores, chores.COLLECT)

    async def trimmed() -> bool:
        return [await rows_of(rig, table) for table in (tables.events, tables.actions, tables.canaries)] == [2, 2, 2]

    await eventually(trimmed)
