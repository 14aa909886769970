"""The tables of states: closed, every status reachable, every dead end meant."""

from collections.abc import Mapping
from enum import StrEnum

import pytest
from roost_server.domain import canary, errors, image, replica, runtime, transitions
from roost_server.domain.canary import CanaryStatus
from roost_server.domain.image import ImageStatus
from roost_server.domain.replica import ReplicaStatus
from roost_server.domain.runtime import Status

ENDED = {CanaryStatus.SUCCEEDED, CanaryStatus.ROLLED_BACK, CanaryStatus.ABORTED}
TABLES = [
    pytest.param(Status, runtime.ALLOWED, {Status.DELETING}, {Status.DELETING}, id="runtime"),
    pytest.param(ReplicaStatus, replica.ALLOWED, {ReplicaStatus.STOPPING}, {ReplicaStatus.STOPPING}, id="replica"),
    pytest.param(ImageStatus, image.ALLOWED, set(), {ImageStatus.READY}, id="image"),
    pytest.param(CanaryStatus, canary.ALLOWED, ENDED, ENDED, id="canary"),
]
Table = Mapping[StrEnum, frozenset[StrEnum]]


@pytest.mark.parametrize(("statuses", "table", "ends", "goals"), TABLES)
def test_the_table_has_a_line_for_every_status(
    statuses: type[StrEnum], table: Table, ends: set[StrEnum], goals: set[StrEnum]
) -> None:
    assert set(table) == set(statuses)
    assert {status for status, following in table.items() if not following} == ends
    assert all(status not in following for status, following in table.items())


@pytest.mark.parametrize(("statuses", "table", "ends", "goals"), TABLES)
def test_every_status_leads_to_its_goal(
    statuses: type[StrEnum], table: Table, ends: set[StrEnum], goals: set[StrEnum]
) -> None:
    for status in statuses:
        assert reachable(table, status) & goals, status


def reachable(table: Table, first: StrEnum) -> set[StrEnum]:
    found, left = {first}, [first]
    while left:
        fresh = table[left.pop()] - found
        found |= fresh
        left += fresh
    return found


def test_every_runtime_can_be_stopped_or_is_stopped_and_can_be_deleted() -> None:
    for status in set(Status) - {Status.DELETING}:
        assert Status.DELETING in runtime.ALLOWED[status]
        assert status in (Status.STOPPING, Status.STOPPED) or Status.STOPPING in runtime.ALLOWED[status]


def test_every_replica_can_be_stopped() -> None:
    for status in set(ReplicaStatus) - {ReplicaStatus.STOPPING}:
        assert ReplicaStatus.STOPPING in replica.ALLOWED[status]


def test_check_allows_staying_and_what_the_table_says_and_nothing_else() -> None:
    for current in Status:
        for new in Status:
            if new == current or new in runtime.ALLOWED[current]:
                assert transitions.check(runtime.ALLOWED, current, new) == new
            else:
                with pytest.raises(errors.Internal, match="transition table"):
                    transitions.check(runtime.ALLOWED, current, new)
