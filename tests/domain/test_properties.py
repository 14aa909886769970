"""What holds for every plan and every next step, whatever the rows say."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from roost_server.domain.config import Health
from roost_server.domain.plan import Clock, Plan, Size, decide
from roost_server.domain.replica import BoxStatus, Replica, ReplicaStatus, Situation, Step, next_step
from roost_server.domain.runtime import ALLOWED, Reason, Status

from domain.making import THEN, a_box, a_replica, a_runtime, an_endpoint

RUNNING = [Status.CREATING, Status.ACTIVE, Status.UPDATING, Status.STARTING, Status.ERROR]
PRESENT = [status for status in ReplicaStatus if status not in (ReplicaStatus.PAUSED, ReplicaStatus.SUSPENDED)]
COUNTS = {1: 1, 2: 2, 3: 1}
READY, STOPPING = ReplicaStatus.READY, ReplicaStatus.STOPPING

boxes = st.sampled_from([None, *(a_box(status) for status in BoxStatus)])
situations = st.builds(
    Situation,
    image_ready=st.booleans(),
    image_failed=st.booleans(),
    restart_due=st.booleans(),
    drained=st.booleans(),
    probe=st.sampled_from([None, Health()]),
)
replicas = st.lists(
    st.builds(
        a_replica,
        id=st.uuids().map(str),
        status=st.sampled_from(PRESENT),
        version=st.integers(1, 3),
        routed=st.booleans(),
        reason=st.sampled_from([None, *Reason]),
    ),
    max_size=6,
)


@given(st.sampled_from(ReplicaStatus), boxes, situations)
def test_there_is_a_step_for_every_situation(status: ReplicaStatus, seen: object, now: Situation) -> None:
    assert next_step(a_replica(status=status), seen, now) in Step  # type: ignore[arg-type]


@given(boxes, situations)
def test_a_stopping_replica_is_never_started_again(seen: object, now: Situation) -> None:
    assert next_step(a_replica(status=STOPPING), seen, now) in (Step.DRAIN, Step.REMOVE)  # type: ignore[arg-type]


@given(st.sampled_from(ReplicaStatus), situations)
def test_a_running_box_is_never_removed_undrained(status: ReplicaStatus, now: Situation) -> None:
    step = next_step(a_replica(status=status), a_box(), replace(now, drained=False, restart_due=False))
    assert step not in (Step.REMOVE, Step.RECREATE, Step.CREATE)


def plan(status: Status, version: int, live: int | None, there: list[Replica]) -> Plan:
    sizes = {number: Size(count, count) for number, count in COUNTS.items()}
    clock = Clock(THEN, keep_seconds=0)
    return decide(a_runtime(status, version=version), [an_endpoint(live=live)], sizes, there, clock)


def serves(made: Plan, before: int | None) -> int | None:
    return made.moves["e1"].live_version if "e1" in made.moves else before


@given(st.sampled_from(RUNNING), st.integers(1, 3), st.integers(0, 3), replicas)
def test_a_plan_makes_an_allowed_step_and_takes_no_wanted_replica_that_serves(
    status: Status, version: int, live: int, there: list[Replica]
) -> None:
    before = live or None
    made = plan(status, version, before, there)
    assert made.status == status or made.status in ALLOWED[status]
    serving = serves(made, before)
    assert made.moves == {} or serving == version
    ready = [one for one in there if one.version == serving and one.status == READY]
    kept = [one for one in ready if one.id not in made.stop]
    assert len(kept) >= min(len(ready), COUNTS.get(serving or 0, 0))
    assert all(one.status != STOPPING for one in there if one.id in made.stop)


@given(st.sampled_from(RUNNING), st.integers(1, 3), replicas)
def test_a_plan_that_is_carried_out_leaves_nothing_to_start_or_stop(
    status: Status, version: int, there: list[Replica]
) -> None:
    first = plan(status, version, None, there)
    after = [replace(one, status=STOPPING) if one.id in first.stop else one for one in there]
    after += [a_replica(f"new-{n}", ReplicaStatus.PENDING, version=number) for n, number in enumerate(first.start)]
    second = plan(first.status, version, serves(first, None), after)
    assert (second.start, second.stop) == ((), ())


@pytest.mark.parametrize("status", RUNNING)
@pytest.mark.parametrize("other", [one for one in PRESENT if one not in (READY, STOPPING)])
def test_active_is_said_only_when_every_wanted_replica_is_ready(status: Status, other: ReplicaStatus) -> None:
    there = [a_replica("one", version=2), a_replica("two", other, version=2)]
    assert plan(status, 2, 2, there).status != Status.ACTIVE


def test_trouble_of_the_version_that_is_replaced_is_not_told_as_the_updates() -> None:
    crashing = a_replica("old", ReplicaStatus.FAILED, reason=Reason.EXITED, message="exited with code 1")
    assert plan(Status.UPDATING, 3, 1, [crashing]).status == Status.UPDATING
