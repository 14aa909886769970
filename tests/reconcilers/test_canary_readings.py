"""What a canary is told that was counted: shared with others, but never from before its step began."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from roost_server.domain.canary import Canary
from roost_server.reconcilers.canaries import CanariesReconciler
from roost_server.reconcilers.readings import Readings
from roost_server.store import canaries, leases, tables
from support.callers import Callers
from support.platform import Rig

from reconcilers.canary_stories import NEVER, current, holds, start, two_versions

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reading is given again however slow the machine is."""
    monkeypatch.setattr("roost_server.reconcilers.readings.GIVEN_AGAIN_SECONDS", 3600.0)


async def a_step_under_way(rig: Rig) -> Callers:
    """A canary in its first step, at which nobody looks by itself."""
    callers = await two_versions(rig)
    await start(rig, NEVER)
    await holds(rig, callers, 5)
    await rig.kill()
    async with rig.store.write() as tx:
        await leases.end_all(tx, tables.canaries)
    return callers


async def look(rig: Rig, readings: Readings) -> Canary:
    canary = await current(rig)
    async with rig.store.write() as tx:
        await leases.wake(tx, tables.canaries, canary.id)
        (lease,) = await leases.claim(tx, tables.canaries, 1, 60)
    await CanariesReconciler(rig.store, readings)(lease)
    async with rig.store.write() as tx:
        await leases.release(tx, lease, None)
    return await current(rig)


def counted(canary: Canary) -> int:
    assert canary.baseline is not None
    return canary.baseline.old.requests


async def read_a_moment_ago(rig: Rig, callers: Callers) -> tuple[Readings, int]:
    """Readings with one that may be given again, and what is counted by now, which is more."""
    readings = Readings(rig.gateway)
    await readings.traffic(leases.now() - timedelta(days=1))
    callers.send()
    key = ((await current(rig)).endpoint_id, 1)
    return readings, rig.gateway.counts[key].requests


async def test_a_step_does_not_begin_with_what_was_counted_before(rig: Rig) -> None:
    callers = await a_step_under_way(rig)
    async with rig.store.write() as tx:
        await tx.run(sa.update(tables.canaries).values(step_since=None))
    readings, now = await read_a_moment_ago(rig, callers)
    assert counted(await look(rig, readings)) == now


async def test_a_step_does_not_begin_before_the_gateway_has_its_weights(rig: Rig) -> None:
    await a_step_under_way(rig)
    async with rig.store.write() as tx:
        await tx.run(sa.update(tables.canaries).values(step_since=None))
        await tx.run(sa.update(tables.endpoints).values(routed_at=None))
    canary = await look(rig, Readings(rig.gateway))
    assert (canary.step_since, canary.message) == (None, "waits until the gateway has confirmed 5 %")


async def test_a_look_is_told_nothing_from_before_the_last_one(rig: Rig) -> None:
    callers = await a_step_under_way(rig)
    readings, now = await read_a_moment_ago(rig, callers)
    async with rig.store.write() as tx:
        await canaries.look(tx, await current(rig), message="looked by another server")
    assert counted(await look(rig, readings)) == now


async def test_a_step_that_goes_on_shares_what_others_read(rig: Rig) -> None:
    callers = await a_step_under_way(rig)
    readings, now = await read_a_moment_ago(rig, callers)
    assert counted(await look(rig, readings)) < now
