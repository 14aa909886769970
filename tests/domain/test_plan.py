"""What a runtime needs next, as stories."""

from collections.abc import Sequence

from roost_server.domain.endpoint import Endpoint, Weights
from roost_server.domain.plan import Clock, Plan, Size, decide
from roost_server.domain.replica import Replica, ReplicaStatus
from roost_server.domain.runtime import Reason, Runtime, Status, Wanted

from domain.making import THEN, a_replica, a_runtime, an_endpoint

PENDING, STARTING, READY = ReplicaStatus.PENDING, ReplicaStatus.STARTING, ReplicaStatus.READY
FAILED, STOPPING = ReplicaStatus.FAILED, ReplicaStatus.STOPPING
KEEP_SECONDS = 600.0


def plan(
    runtime: Runtime, replicas: Sequence[Replica], *endpoints: Endpoint, counts: dict[int, int] | None = None
) -> Plan:
    sizes = {version: Size(count, count) for version, count in (counts or {1: 1, 2: 1, 3: 1}).items()}
    return decide(runtime, endpoints or [an_endpoint()], sizes, replicas, Clock(THEN, KEEP_SECONDS))


def live(decided: Plan) -> dict[str, Weights]:
    """What the endpoints that move serve from then on."""
    return {endpoint_id: move.live for endpoint_id, move in decided.moves.items()}


def test_a_new_runtime_starts_its_replicas() -> None:
    decided = plan(a_runtime(Status.CREATING), [], an_endpoint(live=None), counts={1: 3})
    assert (decided.status, decided.start, decided.stop) == (Status.CREATING, (1, 1, 1), ())


def test_a_ready_replica_moves_the_endpoint_and_active_waits_for_the_routes() -> None:
    unrouted = plan(a_runtime(Status.CREATING), [a_replica(routed=False)], an_endpoint(live=None))
    assert (unrouted.status, live(unrouted)) == (Status.CREATING, {"e1": {1: 100}})
    routed = plan(a_runtime(Status.CREATING), [a_replica()], an_endpoint(live=1))
    assert (routed.status, live(routed), routed.start) == (Status.ACTIVE, {}, ())


def test_some_of_many_ready_is_not_enough_to_move() -> None:
    replicas = [a_replica("r1"), a_replica("r2", STARTING)]
    decided = plan(a_runtime(Status.CREATING), replicas, an_endpoint(live=None), counts={1: 2})
    assert (decided.status, live(decided)) == (Status.CREATING, {})


def test_an_update_starts_the_new_version_beside_the_old() -> None:
    decided = plan(a_runtime(Status.UPDATING, version=2), [a_replica()])
    assert (decided.status, decided.start, decided.stop, live(decided)) == (Status.UPDATING, (2,), (), {})


def test_the_old_version_goes_when_the_new_one_is_ready() -> None:
    replicas = [a_replica("old"), a_replica("new", version=2, routed=False)]
    kept = plan(a_runtime(Status.UPDATING, version=2), replicas)
    assert (kept.status, live(kept), kept.stop) == (Status.UPDATING, {"e1": {2: 100}}, ())
    over = an_endpoint(live=2, kept_version=1, kept_until=THEN)
    gone = plan(a_runtime(version=2), [a_replica("old"), a_replica("new", version=2)], over)
    assert (gone.status, gone.stop, gone.moves["e1"].kept_version) == (Status.ACTIVE, ("old",), None)


def test_a_broken_version_moves_nothing_and_says_why() -> None:
    broken = a_replica("new", FAILED, version=2, reason=Reason.EXITED, message="exited with code 1")
    decided = plan(a_runtime(Status.UPDATING, version=2), [a_replica("old"), broken])
    assert (decided.status, decided.reason, live(decided), decided.stop) == (Status.ERROR, Reason.EXITED, {}, ())
    assert decided.message == "version 2 did not start: exited with code 1 (version 1 keeps serving)"


def test_a_version_that_was_given_up_for_a_third_one_goes() -> None:
    replicas = [a_replica("old"), a_replica("broken", FAILED, version=2, reason=Reason.EXITED)]
    decided = plan(a_runtime(Status.UPDATING, version=3), replicas)
    assert (decided.start, decided.stop) == ((3,), ("broken",))


def test_a_crash_of_a_ready_replica_is_starting_not_error() -> None:
    crashed = a_replica("r1", FAILED, reason=Reason.RESTARTING, message="exited with code 137")
    decided = plan(a_runtime(), [crashed])
    assert (decided.status, decided.reason, decided.start) == (Status.STARTING, Reason.RESTARTING, ())


def test_a_replica_that_cannot_start_is_an_error() -> None:
    failed = a_replica("r1", FAILED, reason=Reason.START_FAILED, message="no such command")
    decided = plan(a_runtime(Status.CREATING), [failed], an_endpoint(live=None))
    assert (decided.status, decided.reason, decided.message) == (Status.ERROR, Reason.START_FAILED, "no such command")


def test_a_pull_under_way_is_told() -> None:
    pulling = a_replica("r1", PENDING, reason=Reason.IMAGE_PULLING, message="pulling x (1 of 2 MiB)")
    decided = plan(a_runtime(Status.CREATING), [pulling], an_endpoint(live=None))
    assert (decided.status, decided.reason, decided.message) == (
        Status.CREATING,
        Reason.IMAGE_PULLING,
        "pulling x (1 of 2 MiB)",
    )


def test_a_replica_that_vanished_is_replaced() -> None:
    decided = plan(a_runtime(), [a_replica("r1")], counts={1: 2})
    assert (decided.status, decided.start) == (Status.STARTING, (1,))


def test_surplus_goes_the_unready_first() -> None:
    decided = plan(a_runtime(), [a_replica("ready"), a_replica("late", STARTING)], counts={1: 1})
    assert decided.stop == ("late",)


def test_a_pinned_endpoint_keeps_its_version_alive() -> None:
    ends = [an_endpoint(live=2), an_endpoint(live=1, pinned=1, id="e2", name="stable")]
    decided = plan(a_runtime(version=2), [a_replica("one"), a_replica("two", version=2)], *ends)
    assert (decided.status, decided.start, decided.stop) == (Status.ACTIVE, (), ())


def test_stopping_removes_all_and_then_is_stopped() -> None:
    going = plan(a_runtime(Status.STOPPING, Wanted.STOPPED), [a_replica("r1"), a_replica("r2", STOPPING)])
    assert (going.status, going.stop, live(going)) == (Status.STOPPING, ("r1",), {"e1": {}})
    gone = plan(a_runtime(Status.STOPPING, Wanted.STOPPED), [], an_endpoint(live=None))
    assert (gone.status, gone.stop, gone.gone) == (Status.STOPPED, (), False)


def test_deleting_is_gone_when_the_last_replica_is() -> None:
    going = plan(a_runtime(Status.DELETING, Wanted.DELETED), [a_replica("r1", STOPPING)])
    assert (going.status, going.gone) == (Status.DELETING, False)
    assert plan(a_runtime(Status.DELETING, Wanted.DELETED), []).gone


def test_starting_while_replicas_still_stop_makes_new_ones() -> None:
    decided = plan(a_runtime(Status.STARTING), [a_replica("old", STOPPING)], an_endpoint(live=None))
    assert (decided.status, decided.start) == (Status.STARTING, (1,))
