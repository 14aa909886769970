"""Readings of the gateway's counts: shared by all who ask at once, and never older than whoever asks may be given."""

import asyncio
from datetime import datetime, timedelta

import pytest
from roost_server.domain import errors
from roost_server.domain.traffic import Counts, Key
from roost_server.gateway.simulated import SimulatedGateway
from roost_server.reconcilers.readings import Readings
from roost_server.store import leases
from support.waiting import eventually

LONG_AGO = leases.now() - timedelta(days=1)
KEY: Key = ("endpoint", 1)


class SlowGateway(SimulatedGateway):
    """Counts how often it is read; a reading ends when it is let go, and tells what was counted when it began."""

    def __init__(self) -> None:
        super().__init__()
        self.read = 0
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def traffic(self) -> dict[Key, Counts]:
        self.read += 1
        counts = {KEY: Counts(self.read)}
        await self.may_end.wait()
        self._check()
        return counts


@pytest.fixture(autouse=True)
def no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reading is given again however slow the machine is."""
    monkeypatch.setattr("roost_server.reconcilers.readings.GIVEN_AGAIN_SECONDS", 3600.0)


@pytest.fixture
def gateway() -> SlowGateway:
    return SlowGateway()


@pytest.fixture
def readings(gateway: SlowGateway) -> Readings:
    return Readings(gateway)


async def counted(readings: Readings, since: datetime = LONG_AGO) -> int:
    return (await readings.traffic(since))[KEY].requests


async def under_way(gateway: SlowGateway, readings: Readings) -> asyncio.Task[int]:
    """A reading that has begun and does not end yet."""
    gateway.may_end.clear()
    before = gateway.read
    reading = asyncio.create_task(counted(readings))

    async def begun() -> bool:
        return gateway.read > before

    await eventually(begun)
    return reading


async def test_many_who_ask_at_once_share_one_reading(gateway: SlowGateway, readings: Readings) -> None:
    assert await asyncio.gather(*[counted(readings) for _ in range(50)]) == [1] * 50
    assert gateway.read == 1


async def test_who_comes_while_one_is_under_way_is_given_it(gateway: SlowGateway, readings: Readings) -> None:
    first = await under_way(gateway, readings)
    others = [asyncio.create_task(counted(readings)) for _ in range(5)]
    gateway.may_end.set()
    assert await asyncio.gather(first, *others) == [1] * 6


async def test_nobody_is_given_what_was_counted_too_early_for_them(gateway: SlowGateway, readings: Readings) -> None:
    first = await under_way(gateway, readings)
    strict = [asyncio.create_task(counted(readings, leases.now())) for _ in range(5)]
    gateway.may_end.set()
    assert await first == 1
    assert await asyncio.gather(*strict) == [2] * 5, "one more reading is enough for all who came during the first"
    assert await counted(readings, leases.now()) == 3


async def test_an_old_reading_is_not_given_again(
    gateway: SlowGateway, readings: Readings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [await counted(readings), await counted(readings)] == [1, 1]
    monkeypatch.setattr("roost_server.reconcilers.readings.GIVEN_AGAIN_SECONDS", 0.0)
    assert await counted(readings) == 2


async def test_trouble_is_shared_too_and_passes(gateway: SlowGateway, readings: Readings) -> None:
    gateway.available = False
    first = await under_way(gateway, readings)
    other = asyncio.create_task(counted(readings))
    gateway.may_end.set()
    for asked in (first, other):
        with pytest.raises(errors.Unavailable):
            await asked
    assert gateway.read == 1
    gateway.available = True
    assert await counted(readings, leases.now()) == 2


async def test_who_is_cancelled_while_reading_leaves_the_turn_to_the_next(
    gateway: SlowGateway, readings: Readings
) -> None:
    first = await under_way(gateway, readings)
    other = asyncio.create_task(counted(readings))
    first.cancel()
    gateway.may_end.set()
    assert await other == 2
