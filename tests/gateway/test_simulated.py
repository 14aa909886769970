"""The gateway that only remembers."""

import pytest
from roost_server.domain import errors
from roost_server.domain.route import Snapshot
from roost_server.domain.traffic import Counts
from roost_server.gateway.gateway import Gateway
from roost_server.gateway.simulated import SimulatedGateway


async def test_it_keeps_the_last_snapshot_and_says_what_it_was_told_to():
    made = SimulatedGateway()
    gateway: Gateway = made
    await gateway.start()
    with pytest.raises(errors.Unavailable, match="no routes yet"):
        await gateway.ready()
    await gateway.publish(Snapshot())
    await gateway.ready()
    made.active = {"busy": 2, "idle": 0}
    assert made.snapshot == Snapshot()
    assert await gateway.in_flight() == {"busy": 2}
    made.counts = {("endpoint", 1): Counts(2, 1, {5.0: 2})}
    assert await gateway.traffic() == made.counts
    await gateway.close()
    await gateway.close(stop_traffic=True)


async def test_it_can_be_unavailable():
    gateway = SimulatedGateway()
    gateway.available = False
    with pytest.raises(errors.Unavailable):
        await gateway.publish(Snapshot())
    with pytest.raises(errors.Unavailable):
        await gateway.ready()
    with pytest.raises(errors.Unavailable):
        await gateway.in_flight()
    with pytest.raises(errors.Unavailable):
        await gateway.traffic()
