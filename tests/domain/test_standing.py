"""How endpoints stand, and whether a runtime's own status is of the rows as they are: tables."""

import pytest
from roost_server.domain import standing
from roost_server.domain.endpoint import Endpoint, EndpointStatus
from roost_server.domain.replica import Replica, ReplicaStatus
from roost_server.domain.runtime import Reason, Status, Wanted

from domain.making import a_replica, a_runtime, an_endpoint

STARTING, FAILED, STOPPING = ReplicaStatus.STARTING, ReplicaStatus.FAILED, ReplicaStatus.STOPPING
BOTH = [a_replica(), a_replica("r2", version=2)]


def failed(status: ReplicaStatus = FAILED) -> Replica:
    return a_replica("r2", status, 2, reason=Reason.EXITED)


@pytest.mark.parametrize(
    ("replicas", "expected"),
    [
        ([a_replica(), failed()], EndpointStatus.ERROR),
        ([a_replica(), failed(STOPPING)], EndpointStatus.UPDATING),
        ([a_replica(), failed(STOPPING), a_replica("r3", STARTING, 2)], EndpointStatus.UPDATING),
    ],
)
def test_what_failed_and_goes_is_no_failure_of_what_comes(replicas: list[Replica], expected: EndpointStatus) -> None:
    endpoint = an_endpoint(1, pinned=2)
    assert standing.of_endpoint(a_runtime(Status.UPDATING, version=2), endpoint, replicas) == expected


@pytest.mark.parametrize("status", [Status.CREATING, Status.UPDATING, Status.STARTING])
@pytest.mark.parametrize(
    ("endpoints", "replicas", "expected"),
    [
        ([an_endpoint()], [a_replica()], False),
        ([an_endpoint(pinned=1)], BOTH, False),
        ([an_endpoint(pinned=1)], [a_replica(), failed()], False),
        ([an_endpoint(pinned=1)], [a_replica(), a_replica("r2", STARTING, 2)], False),
        ([an_endpoint(None, pinned=2)], [failed()], False),
        ([an_endpoint()], [a_replica(routed=False)], True),
        ([an_endpoint()], [a_replica(), a_replica("r2", STARTING)], True),
        ([an_endpoint()], [a_replica(), a_replica("r2", FAILED, reason=Reason.RESTARTING)], True),
        ([an_endpoint(), an_endpoint(pinned=2, id="e2")], [a_replica(), a_replica("r2", STARTING, 2)], True),
        ([an_endpoint(), an_endpoint(wanted=Wanted.STOPPED, id="e2")], [a_replica()], True),
    ],
    ids=[
        "all is there",
        "what is kept is not waited for",
        "nor does it matter that it failed",
        "nor that it starts",
        "it failed, and the runtime does not say so",
        "the gateway is not told yet",
        "one more is to come",
        "one comes back",
        "another endpoint is on its way",
        "another endpoint is stopping",
    ],
)
def test_a_runtime_on_its_way_was_looked_at_while_something_is(
    status: Status, endpoints: list[Endpoint], replicas: list[Replica], expected: bool
) -> None:
    assert standing.was_looked_at(a_runtime(status), endpoints, replicas) == expected


@pytest.mark.parametrize("status", [Status.ACTIVE, Status.ERROR, Status.STOPPED, Status.STOPPING])
def test_a_runtime_that_is_on_no_way_is_as_it_says(status: Status) -> None:
    assert standing.was_looked_at(a_runtime(status), [an_endpoint()], [a_replica()])
