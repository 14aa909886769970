"""What happens next with a replica: (recorded, seen, situation) → step."""

import pytest
from roost_server.domain.config import Health
from roost_server.domain.replica import Box, BoxStatus, ReplicaStatus, Situation, Step, back_off_seconds, next_step

from domain.making import a_box, a_replica

CALM = {"image_ready": True, "image_failed": False, "restart_due": False, "drained": False, "probe": None}
PROBED = {"probe": Health()}
RUNNING, EXITED, CREATED = a_box(), a_box(BoxStatus.EXITED), a_box(BoxStatus.CREATED)

TABLE: list[tuple[ReplicaStatus, Box | None, dict, Step]] = [  # type: ignore[type-arg]
    (ReplicaStatus.PENDING, None, {"image_ready": False}, Step.WAIT_IMAGE),
    (ReplicaStatus.PENDING, None, {"image_ready": False, "image_failed": True}, Step.FAIL_IMAGE),
    (ReplicaStatus.PENDING, None, {}, Step.CREATE),
    (ReplicaStatus.STARTING, None, {}, Step.CREATE),
    (ReplicaStatus.STARTING, CREATED, {}, Step.CREATE),
    (ReplicaStatus.STARTING, RUNNING, {}, Step.SETTLE),
    (ReplicaStatus.STARTING, RUNNING, PROBED, Step.PROBE),
    (ReplicaStatus.STARTING, EXITED, PROBED, Step.RECORD_EXIT),
    (ReplicaStatus.READY, RUNNING, PROBED, Step.PROBE),
    (ReplicaStatus.READY, RUNNING, {}, Step.SETTLE),
    (ReplicaStatus.READY, EXITED, {}, Step.RECORD_EXIT),
    (ReplicaStatus.READY, None, {}, Step.RECORD_EXIT),
    (ReplicaStatus.UNREADY, RUNNING, PROBED, Step.PROBE),
    (ReplicaStatus.UNREADY, None, PROBED, Step.RECORD_EXIT),
    (ReplicaStatus.FAILED, None, {}, Step.BACK_OFF),
    (ReplicaStatus.FAILED, EXITED, {}, Step.BACK_OFF),
    (ReplicaStatus.FAILED, EXITED, {"restart_due": True}, Step.RECREATE),
    (ReplicaStatus.FAILED, None, {"restart_due": True, "image_failed": True}, Step.RECREATE),
    (ReplicaStatus.STOPPING, RUNNING, {}, Step.DRAIN),
    (ReplicaStatus.STOPPING, RUNNING, {"drained": True}, Step.REMOVE),
    (ReplicaStatus.STOPPING, EXITED, {}, Step.REMOVE),
    (ReplicaStatus.STOPPING, None, {}, Step.REMOVE),
]


@pytest.mark.parametrize(("status", "seen", "situation", "step"), TABLE)
def test_each_recorded_and_seen_state_has_one_next_step(
    status: ReplicaStatus,
    seen: Box | None,
    situation: dict,  # type: ignore[type-arg]
    step: Step,
) -> None:
    assert next_step(a_replica(status=status), seen, Situation(**{**CALM, **situation})) == step


def test_back_off_is_nothing_at_first_then_doubles_up_to_five_minutes() -> None:
    assert [back_off_seconds(n) for n in (0, 1, 2, 3, 4)] == [0, 1, 2, 4, 8]
    assert back_off_seconds(1000) == 300
