"""What a runtime needs next, as stories."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from roost_server.domain.endpoint import Endpoint, Weights
from roost_server.domain.plan import Clock, Move, Plan, Size, decide
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


def decided(
    runtime: Runtime, replicas: Sequence[Replica], *endpoints: Endpoint, sizes: dict[int, Size], keep: float = 600.0
) -> Plan:
    return decide(runtime, endpoints, sizes, replicas, Clock(THEN, keep))


LATER = THEN + timedelta(seconds=600)


def test_what_was_replaced_stays_ready_and_going_back_to_it_is_a_change_of_routes_alone() -> None:
    both = [a_replica("one"), a_replica("two", version=2)]
    forward = plan(a_runtime(Status.UPDATING, version=2), both)
    assert forward.moves["e1"] == Move({2: 100}, 2, kept_version=1, kept_until=LATER)
    assert (forward.start, forward.stop, forward.look_again) == ((), (), LATER)
    back = plan(
        a_runtime(Status.UPDATING, version=2),
        both,
        an_endpoint(live=2, pinned=1, kept_version=1, kept_until=LATER),
    )
    assert back.moves["e1"] == Move({1: 100}, 1, kept_version=2, kept_until=LATER)
    assert (back.start, back.stop) == ((), ())


def test_only_the_version_replaced_last_is_kept() -> None:
    three = [a_replica("one"), a_replica("two", version=2), a_replica("three", version=3)]
    end = an_endpoint(live=2, kept_version=1, kept_until=LATER)
    made = plan(a_runtime(Status.UPDATING, version=3), three, end)
    assert (made.moves["e1"].kept_version, made.stop) == (2, ("one",))


def test_without_a_window_nothing_is_kept() -> None:
    both = [a_replica("one"), a_replica("two", version=2)]
    sizes = {1: Size(), 2: Size()}
    made = decided(a_runtime(Status.UPDATING, version=2), both, an_endpoint(), sizes=sizes, keep=0)
    assert (made.moves["e1"].kept_version, made.stop) == (None, ("one",))


def test_a_split_starts_the_other_version_and_gets_its_weight_only_with_the_replicas_for_it() -> None:
    split = an_endpoint(split={1: 50, 2: 50})
    old = [a_replica(f"old-{n}") for n in range(4)]
    sizes = {1: Size(1, 10, decided=4), 2: Size(1, 10)}
    first = decided(a_runtime(version=2, applied=1), old, split, sizes=sizes)
    assert (first.start, first.moves, first.scale) == ((2, 2), {}, {2: 2})
    new = [a_replica("new-1", version=2), a_replica("new-2", STARTING, version=2)]
    sizes[2] = Size(1, 10, decided=2)
    assert decided(a_runtime(version=2, applied=1), [*old, *new], split, sizes=sizes).moves == {}
    new[1] = a_replica("new-2", version=2)
    made = decided(a_runtime(version=2, applied=1), [*old, *new], split, sizes=sizes)
    assert (made.moves["e1"].live, made.moves["e1"].live_version, made.stop) == ({1: 50, 2: 50}, 1, ())


def test_a_version_that_takes_over_everything_is_first_as_large_as_what_it_replaces_up_to_its_most() -> None:
    old = [a_replica(f"old-{n}") for n in range(5)]
    sizes = {1: Size(1, 5, decided=5), 2: Size(1, 3)}
    made = decided(a_runtime(Status.UPDATING, version=2), old, an_endpoint(), sizes=sizes)
    assert (made.start, made.scale) == ((2, 2, 2), {2: 3})


def test_a_split_that_ends_with_the_new_version_keeps_the_old_one_with_its_sessions() -> None:
    ended = an_endpoint(live=1, pinned=2)
    was = {"live": {1: 50, 2: 50}}
    both = [a_replica("one"), a_replica("two", version=2)]
    made = plan(a_runtime(version=2, applied=1), both, replace(ended, **was))
    assert made.moves["e1"] == Move({2: 100}, 2, kept_version=1, kept_until=LATER, kept_sessions=True)


def test_a_split_that_ends_with_the_old_version_gives_the_new_one_up_at_once() -> None:
    both = [a_replica("one"), a_replica("two", version=2)]
    made = plan(a_runtime(version=2, applied=1), both, replace(an_endpoint(live=1), live={1: 75, 2: 25}))
    assert made.moves["e1"] == Move({1: 100}, 1)
    assert made.stop == ("two",)


def test_a_version_that_is_only_recorded_starts_nothing() -> None:
    made = plan(a_runtime(version=2, applied=1), [a_replica()])
    assert (made.status, made.start, made.moves) == (Status.ACTIVE, (), {})


def test_replicas_of_an_older_generation_serve_until_their_successors_are_ready() -> None:
    runtime = a_runtime(Status.UPDATING, generation=2)
    old = [a_replica("a"), a_replica("b")]
    assert plan(runtime, old, counts={1: 2}).start == (1, 1)
    half = [*old, a_replica("c", generation=2), a_replica("d", STARTING, generation=2)]
    waiting = plan(runtime, half, counts={1: 2})
    assert (waiting.status, waiting.start, waiting.stop) == (Status.UPDATING, (), ())
    whole = [*old, a_replica("c", generation=2), a_replica("d", generation=2)]
    assert set(plan(runtime, whole, counts={1: 2}).stop) == {"a", "b"}


def test_replicas_that_are_only_kept_are_replaced_as_well() -> None:
    runtime = a_runtime(Status.UPDATING, version=2, generation=2)
    end = an_endpoint(live=2, kept_version=1, kept_until=LATER)
    serving = a_replica("s", version=2, generation=2)
    old = [serving, a_replica("a"), a_replica("b")]
    first = plan(runtime, old, end)
    assert (first.status, first.start, first.stop) == (Status.ACTIVE, (1, 1), ())
    half = [*old, a_replica("c", generation=2), a_replica("d", STARTING, generation=2)]
    assert (plan(runtime, half, end).start, plan(runtime, half, end).stop) == ((), ())
    whole = [*old, a_replica("c", generation=2), a_replica("d", generation=2)]
    assert (plan(runtime, whole, end).start, set(plan(runtime, whole, end).stop)) == ((), {"a", "b"})
    after = [serving, a_replica("c", generation=2), a_replica("d", generation=2)]
    assert (plan(runtime, after, end).start, plan(runtime, after, end).stop) == ((), ())


def test_more_replicas_than_the_least_are_no_reason_to_be_less_than_active() -> None:
    sizes = {1: Size(1, 3, decided=3)}
    there = [a_replica("one"), a_replica("two", STARTING)]
    made = decided(a_runtime(), there, an_endpoint(), sizes=sizes)
    assert (made.status, made.start) == (Status.ACTIVE, (1,))


def test_a_stopped_endpoint_gives_up_only_what_no_other_needs() -> None:
    ends = [an_endpoint(live=2), an_endpoint(live=1, pinned=1, id="e2", wanted=Wanted.STOPPED)]
    made = plan(a_runtime(version=2), [a_replica("one"), a_replica("two", version=2)], *ends)
    assert (live(made), made.stop, made.status) == ({"e2": {}}, ("one",), Status.ACTIVE)


def test_a_runtime_whose_endpoints_are_all_stopped_is_stopped() -> None:
    end = an_endpoint(wanted=Wanted.STOPPED)
    going = plan(a_runtime(Status.STOPPING), [a_replica("one")], end)
    assert (going.status, going.stop) == (Status.STOPPING, ("one",))
    gone = plan(a_runtime(Status.STOPPING), [], replace(end, live={}, live_version=None))
    assert (gone.status, gone.gone) == (Status.STOPPED, False)


def test_a_version_that_takes_over_the_rest_grows_once_however_often_it_is_looked_at() -> None:
    end = an_endpoint(pinned=2, live=1)
    end = replace(end, live={1: 50, 2: 50})
    there = [a_replica("one"), a_replica("two", version=2)]
    sizes = {1: Size(1, 10), 2: Size(1, 10)}
    for _ in range(5):
        made = decided(a_runtime(version=2, applied=1), there, end, sizes=sizes)
        sizes = {number: replace(size, decided=made.scale.get(number, size.decided)) for number, size in sizes.items()}
        there += [a_replica(f"new-{len(there)}", STARTING, version=number) for number in made.start]
    assert (sizes[1].wanted, sizes[2].wanted, len(there)) == (1, 2, 3)


def test_a_version_that_has_too_few_replicas_can_lose_weight() -> None:
    end = replace(an_endpoint(split={1: 10, 2: 90}), live={1: 50, 2: 50})
    there = [a_replica("one", ReplicaStatus.UNREADY), a_replica("two", version=2)]
    made = plan(a_runtime(version=2, applied=1), there, end)
    assert made.moves["e1"].live == {1: 10, 2: 90}


def test_a_split_between_two_others_keeps_the_version_that_served_alone() -> None:
    there = [a_replica("one"), a_replica("two", version=2), a_replica("three", version=3)]
    made = plan(a_runtime(version=3, applied=1), there, an_endpoint(split={2: 50, 3: 50}))
    assert made.moves["e1"] == Move({2: 50, 3: 50}, 1, kept_version=1, kept_until=LATER)
    assert made.stop == ()


def test_what_is_kept_is_kept_no_longer_for_other_weights() -> None:
    there = [a_replica("one"), a_replica("two", version=2), a_replica("three", version=3)]
    split = an_endpoint(split={2: 20, 3: 80}, kept_version=1, kept_until=LATER - timedelta(seconds=1))
    made = plan(a_runtime(version=3, applied=1), there, replace(split, live={2: 50, 3: 50}))
    assert made.moves["e1"] == Move({2: 20, 3: 80}, 1, kept_version=1, kept_until=LATER - timedelta(seconds=1))
