"""What was counted for a canary comes back as it was, also when an earlier release counted it."""

import sqlalchemy as sa
from roost_server.domain.canary import Tally, Terms
from roost_server.domain.judging import Stretches
from roost_server.domain.traffic import Counts
from roost_server.store import canaries, endpoints, runtimes, tables
from roost_server.store.store import Store
from roost_server.store.workspaces import Workspace

OLD, NEW = Counts(1000, 3, {1.0: 900, 12.5: 100}), Counts(50, 1, {12.5: 50})


async def test_what_was_judged_comes_back(store: Store, workspace: Workspace) -> None:
    judged = Tally(OLD, NEW, Stretches(slow=3, fine=1, until=Counts(40, 1, {12.5: 40})))
    async with store.write() as tx:
        runtime = await runtimes.insert(tx, workspace.id, "agent", "", {})
        canary = await canaries.insert(tx, await endpoints.insert(tx, runtime.id, "e"), 1, 2, Terms())
        await canaries.look(tx, canary, judged=judged, baseline=Tally(OLD, NEW))
        found = await canaries.get(tx, canary.id)
        assert found is not None and (found.judged, found.baseline) == (judged, Tally(OLD, NEW))


async def test_what_was_judged_without_stretches_has_none(store: Store, workspace: Workspace) -> None:
    earlier = {side: {"requests": 7, "errors": 0, "durations": {"2.0": 7}} for side in ("old", "new")}
    async with store.write() as tx:
        runtime = await runtimes.insert(tx, workspace.id, "agent", "", {})
        canary = await canaries.insert(tx, await endpoints.insert(tx, runtime.id, "e"), 1, 2, Terms())
        await tx.run(sa.update(tables.canaries).values(judged=earlier))
        found = await canaries.get(tx, canary.id)
        assert found is not None and found.judged == Tally(Counts(7, 0, {2.0: 7}), Counts(7, 0, {2.0: 7}))
