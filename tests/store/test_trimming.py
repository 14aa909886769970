"""What only ever becomes more is trimmed: the newest stay, of each owner, and what is under way stays in any case."""

import pytest
import sqlalchemy as sa
from roost_server.domain.canary import CanaryStatus, Terms
from roost_server.store import canaries, endpoints, events, runtimes, tables, workspaces
from roost_server.store.store import Store, Tx
from roost_server.store.workspaces import Workspace


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "KEPT_PER_RUNTIME", 3)
    monkeypatch.setattr(events, "ACTIONS_KEPT_PER_WORKSPACE", 3)
    monkeypatch.setattr(canaries, "ENDED_KEPT_PER_RUNTIME", 3)


async def runtime(tx: Tx, workspace: Workspace, name: str) -> str:
    return (await runtimes.insert(tx, workspace.id, name, "", {})).id


async def test_the_newest_events_of_each_runtime_stay(store: Store, workspace: Workspace) -> None:
    async with store.write() as tx:
        full, other = await runtime(tx, workspace, "full"), await runtime(tx, workspace, "other")
        for n in range(5):
            await events.record(tx, full, "x", str(n))
            if n < 3:
                await events.record(tx, other, "x", str(n))
        for _ in range(2):
            await events.trim(tx)
            assert [event.message for event in (await events.page(tx, full, 10, None))[0]] == ["4", "3", "2"]
            assert [event.message for event in (await events.page(tx, other, 10, None))[0]] == ["2", "1", "0"]


async def test_the_newest_actions_in_each_workspace_stay(store: Store, workspace: Workspace) -> None:
    async with store.write() as tx:
        other = await workspaces.create(tx, "other", "ws")
        for n in range(5):
            await events.record_action(tx, workspace.id, None, str(n), "somebody", None)
        await events.record_action(tx, other.id, None, "only", "somebody", None)
        await events.trim(tx)
        rows = await tx.all(sa.select(tables.actions.c.verb).order_by(tables.actions.c.id))
        assert [row["verb"] for row in rows] == ["2", "3", "4", "only"]


async def test_the_newest_canaries_that_have_ended_stay_and_all_that_are_under_way(
    store: Store, workspace: Workspace
) -> None:
    async with store.write() as tx:
        runtime_id = await runtime(tx, workspace, "agent")
        made = []
        for n in range(7):
            endpoint = await endpoints.insert(tx, runtime_id, f"e{n}")
            made.append(await canaries.insert(tx, endpoint, 1, 2, Terms()))
        for canary in made[1:6]:
            await canaries.set_status(tx, canary, CanaryStatus.ABORTED)
        await canaries.set_status(tx, made[6], CanaryStatus.PAUSED)
        await canaries.trim(tx)
        left = {canary.id for canary in (await canaries.page(tx, runtime_id, 10, None))[0]}
        assert [canary.id in left for canary in made] == [True, False, False, True, True, True, True]
