"""What happens next with a canary, as a table."""

from datetime import timedelta
from typing import Any

import pytest
from roost_server.domain import canary as rules
from roost_server.domain import errors
from roost_server.domain.canary import Canary, CanaryStatus, Next, Seen, Tally, check_steps, next_step
from roost_server.domain.judging import Stretches
from roost_server.domain.replica import Replica, ReplicaStatus
from roost_server.domain.runtime import Reason
from roost_server.domain.traffic import Counts

from domain.making import THEN, a_replica

NOW = THEN + timedelta(seconds=100)
READY, STARTING, PENDING = ReplicaStatus.READY, ReplicaStatus.STARTING, ReplicaStatus.PENDING
FAILED, UNREADY = ReplicaStatus.FAILED, ReplicaStatus.UNREADY
HOLDS = {1: 95, 2: 5}


def tally(old: int = 1000, new: int = 50, new_errors: int = 0) -> Tally:
    return Tally(Counts(old, 0, {10.0: old}), Counts(new, new_errors, {10.0: new}))


COUNTED = tally(5000, 500)
"""What the gateway had counted when it was last asked."""


def a_canary(**other: Any) -> Canary:
    """In its first step since a minute, with nothing wrong."""
    values: dict[str, Any] = {
        "id": "c1",
        "runtime_id": "runtime",
        "endpoint_id": "e1",
        "from_version": 1,
        "to_version": 2,
        "steps": (5, 25, 100),
        "interval_seconds": 60.0,
        "max_error_rate": 0.01,
        "max_p95_ratio": 1.5,
        "min_requests": 20,
        "status": CanaryStatus.RUNNING,
        "message": None,
        "step": 0,
        "step_since": NOW - timedelta(seconds=60),
        "baseline": COUNTED,
        "judged": tally(),
        "revision": 1,
        "created_at": THEN,
        "updated_at": THEN,
    }
    return Canary(**{**values, **other})


def seen(**other: Any) -> Seen:
    values: dict[str, Any] = {"now": NOW, "live": HOLDS, "is_routed": True, "counted": COUNTED}
    return Seen(**{**values, "trouble": None, "in_error": None, **other})


FRESH = {"step_since": None, "baseline": None, "judged": None}
LATE = {"step_since": NOW - timedelta(seconds=59)}
LAST = {"step": 2}
WORSE = {"judged": tally(new=160, new_errors=8)}


@pytest.mark.parametrize(
    ("canary", "what", "expected"),
    [
        pytest.param({}, {}, Next.ADVANCE, id="its time is over and it did well"),
        pytest.param(LATE, {}, Next.HOLD, id="its time is not over"),
        pytest.param(FRESH, {"live": {1: 100}}, Next.WAIT, id="its weight does not hold yet"),
        pytest.param(FRESH, {}, Next.BEGIN, id="its weight begins to hold"),
        pytest.param(FRESH, {"is_routed": False}, Next.HOLD, id="the gateway has not confirmed its weight yet"),
        pytest.param({}, {"is_routed": False}, Next.ADVANCE, id="what is confirmed later is no matter of this step"),
        pytest.param(FRESH, {"counted": None}, Next.HOLD, id="its weight holds, but the gateway does not tell"),
        pytest.param({"judged": tally(new=3)}, {}, Next.HOLD, id="too few requests"),
        pytest.param({"judged": tally(new=50, new_errors=1)}, {}, Next.HOLD, id="in doubt"),
        pytest.param(WORSE, {}, Next.ROLL_BACK, id="worse"),
        pytest.param({**WORSE, **LATE}, {}, Next.ROLL_BACK, id="worse before its time is over"),
        pytest.param({**WORSE, "status": CanaryStatus.PAUSED}, {}, Next.ROLL_BACK, id="worse while paused"),
        pytest.param({**WORSE, "step": 1, "step_since": None}, {}, Next.ROLL_BACK, id="worse between two steps"),
        pytest.param({**WORSE, "baseline": None, **LAST}, {}, Next.WAIT, id="promoted, not judged"),
        pytest.param(WORSE, {"counted": None}, Next.ROLL_BACK, id="worse, and now the gateway does not tell"),
        pytest.param({"status": CanaryStatus.PAUSED}, {}, Next.HOLD, id="paused"),
        pytest.param({"status": CanaryStatus.PAUSED, **FRESH}, {}, Next.BEGIN, id="paused before its weight held"),
        pytest.param({}, {"in_error": "no"}, Next.INTERRUPT, id="the runtime is in error"),
        pytest.param(WORSE, {"in_error": "no"}, Next.ROLL_BACK, id="worse while the runtime is in error"),
        pytest.param(LAST, {}, Next.WAIT, id="on the way to all"),
        pytest.param(LAST, {"live": {2: 100}}, Next.SUCCEED, id="all"),
        pytest.param(
            {**LAST, "step_since": None}, {"live": {2: 100}, "counted": None}, Next.SUCCEED, id="all, unasked"
        ),
        pytest.param({}, {"trouble": "exited"}, Next.ROLL_BACK, id="it does not start"),
        pytest.param({}, {"live": None}, Next.ABORT, id="nothing is to serve"),
    ],
)
def test_what_happens_next(canary: dict[str, Any], what: dict[str, Any], expected: Next) -> None:
    assert next_step(a_canary(**canary), seen(**what)).next == expected


def test_what_was_counted_since_the_last_look_is_added() -> None:
    decided = next_step(a_canary(), seen(counted=COUNTED.plus(tally(7, 3, 1))))
    wanted = tally().plus(tally(7, 3, 1))
    assert decided.judged is not None
    assert (decided.judged.old, decided.judged.new) == (wanted.old, wanted.new)


def test_each_look_may_end_a_stretch() -> None:
    decided = next_step(a_canary(), seen(counted=COUNTED.plus(tally(7, 3, 1))))
    assert decided.judged is not None
    assert decided.judged.stretches == Stretches(fine=1, until=decided.judged.new)


def test_what_a_gateway_that_began_anew_counted_is_added_whole() -> None:
    decided = next_step(a_canary(), seen(counted=tally(7, 3)))
    assert decided.judged is not None
    assert (decided.judged.old.requests, decided.judged.new.requests) == (1007, 53)


def test_what_it_waits_for_is_told() -> None:
    def told(what: dict[str, Any], **canary: Any) -> str | None:
        return next_step(a_canary(**canary), seen(**what)).message

    assert told({"live": {1: 100}}) == "waits for the replicas that 5 % of the traffic needs"
    few = "waits for requests to version 2 in this step: 3 of 20 requests"
    assert told({}, judged=tally(new=3)) == few
    assert (told({}, judged=tally(new_errors=1)) or "").startswith(
        "waits for more requests, for this may be chance: 1 of"
    )
    assert told({"in_error": "exited"}) == "waits until the runtime is in order: exited"
    assert told({}, status=CanaryStatus.PAUSED) == "paused at 5 %"
    assert (told({}, **WORSE) or "").startswith("version 2 does worse: 8 of 160 requests failed")
    assert told({"trouble": "exited with code 1"}) == "version 2 did not start: exited with code 1"


def test_the_split_of_each_step() -> None:
    assert [a_canary(step=step).split for step in range(3)] == [{1: 95, 2: 5}, {1: 75, 2: 25}, {2: 100}]
    assert a_canary(from_version=3).split == {2: 5, 3: 95}


@pytest.mark.parametrize("steps", [(100,), (1, 100), (5, 25, 50, 100), tuple(range(81, 101))])
def test_steps_that_may_be(steps: tuple[int, ...]) -> None:
    assert check_steps(steps) == steps


@pytest.mark.parametrize(
    "steps",
    [(), (5, 25), (0, 100), (-1, 100), (5, 5, 100), (25, 5, 100), (5, 101), (100, 100), tuple(range(80, 101))],
)
def test_steps_that_may_not(steps: tuple[int, ...]) -> None:
    with pytest.raises(errors.Invalid, match="cannot go by the steps") as raised:
        check_steps(steps)
    assert [one.loc for one in raised.value.errors] == [("steps",)]


def ago(seconds: float, name: str) -> dict[str, Any]:
    return {name: NOW - timedelta(seconds=seconds)}


@pytest.mark.parametrize(
    ("replicas", "enough", "expected"),
    [
        ([], None, None),
        ([a_replica(status=READY)], None, None),
        ([a_replica(status=STARTING, **ago(89, "started_at"))], None, None),
        ([a_replica(status=STARTING, **ago(91, "started_at"))], None, "a replica was not ready within 90 s"),
        (
            [a_replica(status=STARTING, message="GET /health answered 500", **ago(91, "started_at"))],
            None,
            "a replica was not ready within 90 s: GET /health answered 500",
        ),
        ([a_replica(status=PENDING, **ago(91, "updated_at"))], None, "a replica was not ready within 90 s"),
        ([a_replica(status=PENDING, reason=Reason.IMAGE_PULLING, **ago(900, "updated_at"))], None, None),
        ([a_replica(status=FAILED, reason=Reason.RESTARTING, **ago(900, "updated_at"))], None, None),
        ([a_replica(status=FAILED, reason=Reason.EXITED, message="exited with code 1")], None, "exited with code 1"),
        ([a_replica(status=FAILED, reason=Reason.NO_CAPACITY)], None, "no_capacity"),
        ([a_replica(), a_replica("r2", FAILED, reason=Reason.EXITED, message="exited")], None, "exited"),
        ([a_replica(), a_replica("r2", FAILED, reason=Reason.EXITED, message="exited")], 1, None),
        ([a_replica(), a_replica("r2", FAILED, reason=Reason.EXITED, message="exited")], 2, "exited"),
        ([a_replica("r2", FAILED, reason=Reason.OUT_OF_MEMORY, message="killed")], 1, "killed"),
        ([a_replica(status=UNREADY, reason=Reason.HEALTH_FAILED, **ago(900, "updated_at"))], 1, None),
    ],
)
def test_trouble(replicas: list[Replica], enough: int | None, expected: str | None) -> None:
    assert rules.trouble(replicas, 30.0, NOW, enough=enough) == expected
