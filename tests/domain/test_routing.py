"""From runtimes and replicas to the snapshot."""

from roost_server.domain.config import Health, RuntimeConfig, Sandbox
from roost_server.domain.replica import ReplicaStatus
from roost_server.domain.route import Route
from roost_server.domain.routing import (
    Ports,
    RoutedEndpoint,
    RoutedReplica,
    RoutedRuntime,
    Situated,
    ports_of,
    routed,
    snapshot,
)
from roost_server.domain.runtime import Status

READY = RoutedReplica("r1", 1, ReplicaStatus.READY, "10.0.0.2", True)
DEFAULT = RoutedEndpoint("e1", True, False, ((1, 100),))


def routes(
    *replicas: RoutedReplica,
    name: str = "agent",
    status: Status = Status.ACTIVE,
    endpoints: tuple[RoutedEndpoint, ...] = (DEFAULT,),
    ports: Ports = Ports(8080, ()),  # noqa: B008
) -> dict[str, Route]:
    runtime = RoutedRuntime("runtime", name, status, "ws", "org")
    made = snapshot([Situated(runtime, endpoints, replicas, {1: ports, 2: ports})], "example.com")
    return {route.id: route for route in made.routes}


def weights(route: Route) -> dict[int, int]:
    return {pool.version: pool.weight for pool in route.pools}


def test_the_default_endpoint_answers_to_its_id_the_runtimes_id_and_the_alias() -> None:
    assert set(routes(READY)["e1"].hosts) == {"e1.example.com", "runtime.example.com", "agent--ws--org.example.com"}


def test_an_alias_too_long_for_dns_is_left_out() -> None:
    assert set(routes(READY, name="a" * 60)["e1"].hosts) == {"e1.example.com", "runtime.example.com"}


def test_another_endpoint_answers_to_its_id_alone_and_serves_its_version() -> None:
    pinned = RoutedEndpoint("e2", False, False, ((2, 100),))
    made = routes(READY, READY._replace(id="r2", version=2), endpoints=(DEFAULT, pinned))
    assert made["e2"].hosts == ("e2.example.com",)
    assert weights(made["e2"]) == {1: 0, 2: 100}
    assert weights(made["e1"]) == {1: 100, 2: 0}
    assert [backend.replica_id for pool in made["e2"].pools for backend in pool.backends] == ["r1", "r2"]


def test_only_ready_replicas_with_an_address_get_new_requests() -> None:
    made = routes(
        READY,
        READY._replace(id="r2", status=ReplicaStatus.UNREADY),
        READY._replace(id="r3", status=ReplicaStatus.STARTING),
        READY._replace(id="r4", address=None),
    )
    assert [backend.replica_id for backend in made["e1"].pools[0].backends] == ["r1"]


def test_a_stopping_replica_drains_and_is_not_routed() -> None:
    stopping = READY._replace(id="r2", status=ReplicaStatus.STOPPING)
    runtime = RoutedRuntime("runtime", "agent", Status.ACTIVE, "ws", "org")
    made = snapshot([Situated(runtime, (DEFAULT,), (READY, stopping), {1: Ports(8080, ())})], "example.com")
    assert [(b.replica_id, b.draining) for b in made.routes[0].pools[0].backends] == [("r1", False), ("r2", True)]
    assert routed(made) == {"r1"}


def test_exposed_ports_have_hosts_of_their_own() -> None:
    made = routes(READY, ports=Ports(8080, (9000,)))
    assert made["e1-9000"].hosts == ("9000-runtime.example.com",)
    assert [backend.port for backend in made["e1-9000"].pools[0].backends] == [9000]


def test_a_split_endpoint_gives_each_version_its_weight_and_keeps_sessions_with_the_replaced_one() -> None:
    split = DEFAULT._replace(live=((1, 75), (2, 25)))
    made = routes(READY, READY._replace(id="r2", version=2), endpoints=(split,))["e1"]
    assert (weights(made), made.is_sticky) == ({1: 75, 2: 25}, True)
    promoted = DEFAULT._replace(live=((2, 100),), kept=1)
    after = routes(READY, READY._replace(id="r2", version=2), endpoints=(promoted,))["e1"]
    assert [(p.version, p.weight, p.keeps_sessions) for p in after.pools] == [(1, 0, True), (2, 100, False)]
    assert after.is_sticky


def test_a_replica_that_only_waits_to_be_needed_again_is_not_routed() -> None:
    runtime = RoutedRuntime("runtime", "agent", Status.ACTIVE, "ws", "org")
    kept = READY._replace(id="r2", version=2)
    ports = {1: Ports(8080, ()), 2: Ports(8080, ())}
    assert routed(snapshot([Situated(runtime, (DEFAULT,), (READY, kept), ports)], "example.com")) == {"r1"}


def test_an_exposed_port_leads_only_to_versions_that_expose_it() -> None:
    runtime = RoutedRuntime("runtime", "agent", Status.ACTIVE, "ws", "org")
    split = DEFAULT._replace(live=((1, 50), (2, 50)))
    ports = {1: Ports(8080, ()), 2: Ports(8080, (9000,))}
    made = snapshot([Situated(runtime, (split,), (READY, READY._replace(id="r2", version=2)), ports)], "example.com")
    assert [pool.version for pool in made.routes[0].pools] == [2]


def test_a_stopped_endpoint_says_so() -> None:
    stopped = routes(endpoints=(DEFAULT._replace(is_stopped=True, live=()),))["e1"].unavailable
    assert stopped is not None and stopped.reason == "endpoint_stopped"


def test_without_replicas_the_route_says_why() -> None:
    stopped = routes(status=Status.STOPPED)["e1"].unavailable
    assert stopped is not None and stopped.reason == "runtime_stopped" and "start it" in stopped.message
    starting = routes(status=Status.CREATING)["e1"].unavailable
    assert starting is not None and starting.reason == "no_ready_replica"


def test_ports_come_from_the_configuration() -> None:
    assert ports_of(RuntimeConfig()) == Ports(8080, ())
    exposed = Sandbox(exposed_ports=[9000, 80, 9000])
    assert ports_of(RuntimeConfig(health=Health(port=3000), sandbox=exposed)) == Ports(3000, (80, 9000))
