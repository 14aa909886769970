"""A runtime's life: created, stopped, started, deleted."""

from roost_server.domain.runtime import Status
from support.platform import Rig


async def test_a_created_runtime_becomes_active_and_routed(rig: Rig) -> None:
    created = await rig.create("agent")
    assert created.runtime.status == Status.CREATING
    await rig.until("agent", Status.ACTIVE)
    (replica,) = await rig.replicas("agent")
    assert replica.status == "ready" and replica.routed
    assert rig.backends(created.runtime.id) == rig.backends("agent--default--default") == [replica.id]
    assert set(replica.phases) == {"queued", "image", "disk", "network", "process", "health"}
