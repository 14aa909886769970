"""Routes to Envoy's resources, as tables."""

import json

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import health_check_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.http.lua.v3 import lua_pb2
from envoy.service.discovery.v3 import discovery_pb2
from roost_server.domain.route import Backend, Pool, Route, Snapshot, Unavailable
from roost_server.gateway.resources import secrets, wire
from roost_server.gateway.resources.catalog import Builder
from roost_server.gateway.resources.clusters import CLUSTER, ENDPOINTS
from roost_server.gateway.resources.virtual_hosts import ROUTES, ROUTES_NAME
from roost_server.gateway.resources.wire import Resource

from gateway.stories import STOPPED, lone, pool

ONE = Backend("one", "10.0.0.1", 8080)
TWO = Backend("two", "10.0.0.2", 8080)
LEAVING = Backend("leaving", "10.0.0.3", 8080, draining=True)


@pytest.fixture
def builder(settings) -> Builder:
    return Builder(settings, secrets.one_per_host())


def decode(resource: Resource, message):
    entry = discovery_pb2.Resource.FromString(resource.entry)
    assert (entry.name, entry.version) == (resource.name, resource.version)
    assert entry.resource.Unpack(message)
    return message


def virtual_hosts(builder: Builder, *routes: Route) -> dict[str, object]:
    catalog = builder.build(Snapshot(routes), {})
    configuration = decode(catalog[ROUTES][ROUTES_NAME], route_pb2.RouteConfiguration())
    return {each.name: each for each in configuration.virtual_hosts}


def test_a_route_has_a_cluster_for_http1_and_one_for_grpc_with_the_same_endpoints(builder):
    catalog = builder.build(Snapshot((lone("r", ("a.localhost",), (TWO, ONE)),)), {})
    assert list(catalog[CLUSTER]) == list(catalog[ENDPOINTS]) == ["h1/r/1", "h2/r/1"]
    for name, resource in catalog[ENDPOINTS].items():
        assignment = decode(resource, endpoint_pb2.ClusterLoadAssignment())
        assert assignment.cluster_name == name
        assert addresses(assignment) == ["10.0.0.1", "10.0.0.2"]


def test_a_draining_backend_stays_listed_and_is_marked(builder):
    catalog = builder.build(Snapshot((lone("r", ("a.localhost",), (ONE, LEAVING)),)), {})
    assignment = decode(catalog[ENDPOINTS]["h1/r/1"], endpoint_pb2.ClusterLoadAssignment())
    health = [each.health_status for each in assignment.endpoints[0].lb_endpoints]
    assert health == [health_check_pb2.HEALTHY, health_check_pb2.DRAINING]


def test_backends_that_all_drain_are_as_they_were_until_no_route_leads_to_them(builder):
    catalog = builder.build(Snapshot((lone("r", ("a.localhost",), (LEAVING,)),)), {})
    assignment = decode(catalog[ENDPOINTS]["h1/r/1"], endpoint_pb2.ClusterLoadAssignment())
    assert [each.health_status for each in assignment.endpoints[0].lb_endpoints] == [health_check_pb2.HEALTHY]


@pytest.mark.parametrize(
    ("backends", "unavailable", "forwards", "reason"),
    [
        ((ONE,), None, True, None),
        ((ONE, LEAVING), STOPPED, True, None),
        ((LEAVING,), STOPPED, False, "stopped"),
        ((LEAVING,), None, False, "waiting"),
        ((), STOPPED, False, "stopped"),
        ((), None, False, "waiting"),
        ((Backend("r", "not-an-ip", 80),), STOPPED, False, "stopped"),
        ((Backend("r", "10.0.0.1", 0),), STOPPED, False, "stopped"),
    ],
)
def test_a_route_forwards_when_a_backend_takes_requests_and_else_says_why(
    builder, backends, unavailable, forwards, reason
):
    host = virtual_hosts(builder, lone("r", ("a.localhost",), backends, unavailable))["r"]
    assert [rule.HasField("route") for rule in host.routes] == ([True] * 3 if forwards else [False])
    if not forwards:
        answer = host.routes[0].direct_response
        assert answer.status == 503
        assert json.loads(answer.body.inline_string)["reason"] == reason


def test_grpc_goes_to_the_http2_cluster_and_only_get_is_sent_again_after_it_was_seen(builder):
    rules = virtual_hosts(builder, lone("r", ("a.localhost",), (ONE,)))["r"].routes
    assert [rule.route.cluster for rule in rules] == ["h2/r/1", "h1/r/1", "h1/r/1"]
    assert rules[0].match.HasField("grpc")
    assert rules[1].match.headers[0].string_match.exact == "GET"
    assert [",reset" in rule.route.retry_policy.retry_on for rule in rules] == [False, True, False]
    assert all(rule.route.timeout.ToSeconds() == 0 for rule in rules)


def test_a_replica_that_did_not_take_a_request_is_not_drawn_again_while_there_is_another(builder):
    host = virtual_hosts(builder, lone("r", ("a.localhost",), (ONE, TWO)))["r"]
    [of_get] = [rule.route.retry_policy for rule in host.routes if rule.route.HasField("retry_policy")]
    for policy in (host.retry_policy, of_get):
        assert 0.5 ** (1 + policy.host_selection_retry_max_attempts) < 1e-6


@pytest.mark.parametrize(
    ("hosts", "kept"),
    [
        (("A.localhost",), ["a.localhost"]),
        (("a.localhost", "a.LOCALHOST"), ["a.localhost"]),
        (("8081-3f.localhost", "x--y--z.localhost", "under_score.localhost"), None),
        (("*",), []),
        (("*.localhost", "ok.localhost"), ["ok.localhost"]),
        (("with space", "", "a/b", "a:80", "-a", ".a"), []),
        (("127.0.0.1", "[::1]"), None),
    ],
)
def test_hosts_that_envoy_would_refuse_or_read_as_patterns_are_left_out(builder, hosts, kept):
    made = virtual_hosts(builder, lone("r", hosts, (ONE,)))
    assert [list(each.domains) for each in made.values()] == ([] if kept == [] else [kept or list(hosts)])


def test_a_host_that_is_there_twice_belongs_to_the_first_route(builder):
    first = lone("first", ("a.localhost",), (ONE,))
    second = lone("second", ("a.localhost", "b.localhost"), (TWO,))
    for _ in range(2):
        made = virtual_hosts(builder, first, second)
        assert {name: list(each.domains) for name, each in made.items()} == {
            "first": ["a.localhost"],
            "second": ["b.localhost"],
        }
    assert list(virtual_hosts(builder, second)["second"].domains) == ["a.localhost", "b.localhost"]


def test_a_route_id_that_is_there_twice_counts_once(builder):
    made = virtual_hosts(builder, lone("r", ("a.localhost",), (ONE,)), lone("r", ("b.localhost",), (TWO,)))
    assert [list(each.domains) for each in made.values()] == [["a.localhost"]]


def test_of_two_backends_with_one_address_the_one_that_takes_requests_counts(builder):
    leaving = Backend("old", ONE.address, ONE.port, draining=True)
    for backends in ((leaving, ONE), (ONE, leaving)):
        catalog = builder.build(Snapshot((lone("r", ("a.localhost",), backends),)), {})
        assignment = decode(catalog[ENDPOINTS]["h1/r/1"], endpoint_pb2.ClusterLoadAssignment())
        assert [each.health_status for each in assignment.endpoints[0].lb_endpoints] == [health_check_pb2.HEALTHY]


def test_a_message_that_is_very_long_is_cut(builder):
    long = Unavailable("exited", "cannot reach this runtime: " + "ü" * 100_000)
    answer = virtual_hosts(builder, lone("r", ("a.localhost",), (), long))["r"].routes[0].direct_response
    assert len(answer.body.inline_string.encode()) < 64 * 1024
    assert json.loads(answer.body.inline_string)["detail"].startswith("cannot reach this runtime: ü")


def test_a_cluster_stays_the_same_when_backends_change(builder):
    before = builder.build(Snapshot((lone("r", ("a.localhost",), (ONE,)),)), {})
    after = builder.build(Snapshot((lone("r", ("a.localhost", "b.localhost"), (TWO, LEAVING)),)), {})
    assert before[CLUSTER] == after[CLUSTER]
    assert before[ENDPOINTS] != after[ENDPOINTS]
    assert before[ROUTES] != after[ROUTES]


def test_another_builder_gives_equal_versions(builder, settings):
    snapshot = Snapshot((lone("r", ("a.localhost",), (ONE, TWO)), lone("s", ("b.localhost",), (), STOPPED)))
    assert builder.build(snapshot, {}) == Builder(settings, secrets.one_per_host()).build(snapshot, {})


def test_what_is_joined_from_bytes_is_what_the_library_reads(builder):
    catalog = builder.build(Snapshot((lone("r", ("a.localhost",), (ONE,)),)), {})
    cluster = decode(catalog[CLUSTER]["h1/r/1"], cluster_pb2.Cluster())
    assert cluster.name == "h1/r/1"
    assert cluster.common_lb_config.healthy_panic_threshold.value == 0
    assert wire.varint(300) == b"\xac\x02"


def split(*pools: Pool, name: str = "r", why: Unavailable | None = None) -> Route:
    return Route(name, ("a.localhost",), pools, unavailable=why)


def test_every_version_has_clusters_of_its_own_whatever_its_weight(builder):
    route = split(pool(ONE, version=3, weight=0), pool(TWO, version=4), pool(version=5, weight=0))
    catalog = builder.build(Snapshot((route,)), {})
    assert set(catalog[CLUSTER]) == set(catalog[ENDPOINTS]) == {"h1/r/3", "h2/r/3", "h1/r/4", "h2/r/4"}


def test_an_update_leaves_the_clusters_of_the_version_before_as_they_are(builder):
    before = builder.build(Snapshot((split(pool(ONE, version=3)),)), {})
    after = builder.build(Snapshot((split(pool(ONE, version=3, weight=0), pool(TWO, version=4)),)), {})
    for kind in (CLUSTER, ENDPOINTS):
        assert before[kind].items() <= after[kind].items()


def test_of_several_versions_one_is_drawn_by_weight(builder):
    made = virtual_hosts(builder, split(pool(ONE, version=3, weight=75), pool(TWO, version=4, weight=25)))["r"]
    drawn = [rule.route.weighted_clusters.clusters for rule in made.routes[-3:]]
    assert [[(each.name, each.weight.value) for each in clusters] for clusters in drawn] == [
        [("h2/r/3", 75), ("h2/r/4", 25)],
        [("h1/r/3", 75), ("h1/r/4", 25)],
        [("h1/r/3", 75), ("h1/r/4", 25)],
    ]
    assert made.routes[-3].match.HasField("grpc")
    assert [",reset" in rule.route.retry_policy.retry_on for rule in made.routes[-3:]] == [False, True, False]


def test_sessions_that_are_kept_have_rules_before_the_others(builder):
    made = virtual_hosts(builder, split(pool(ONE, version=3, weight=0, keeps=True), pool(TWO, version=4)))["r"]
    matches = [[(each.name, each.string_match.exact) for each in rule.match.headers] for rule in made.routes]
    third, fourth, get = ("x-roost-version", "3"), ("x-roost-version", "4"), (":method", "GET")
    assert matches == [[third], [get, third], [third], [fourth], [get, fourth], [fourth], [], [get], []]
    assert [rule.match.HasField("grpc") for rule in made.routes] == [True, False, False] * 3
    assert [rule.route.cluster for rule in made.routes] == [
        *("h2/r/3", "h1/r/3", "h1/r/3"),
        *("h2/r/4", "h1/r/4", "h1/r/4"),
        *("h2/r/4", "h1/r/4", "h1/r/4"),
    ]


GONE = pool(version=4, weight=25)
DRAINED = pool(LEAVING, version=4, weight=25)


@pytest.mark.parametrize(
    ("pools", "leads_to", "context"),
    [
        ((pool(ONE, version=3),), "h1/r/3", ("3:100", "")),
        ((pool(ONE, version=3, keeps=True),), "h1/r/3", ("3:100", "3")),
        ((pool(ONE, version=3), pool(TWO, version=2, weight=0)), "h1/r/3", ("3:100", "")),
        ((pool(ONE, version=3), pool(TWO, version=2, weight=0, keeps=True)), "h1/r/3", ("3:100", "2")),
        ((pool(ONE, version=3, weight=75), pool(TWO, version=4, weight=25)), "", ("3:75,4:25", "")),
        ((pool(ONE, version=3, weight=75), GONE), "h1/r/3", ("3:75", "")),
        ((pool(ONE, version=3, weight=75), DRAINED), "h1/r/3", ("3:75", "")),
        ((pool(ONE, version=3, weight=0, keeps=True), DRAINED), None, ("", "3")),
        ((pool(ONE, version=3, weight=0), DRAINED), None, None),
        ((GONE,), None, None),
    ],
)
def test_only_versions_that_take_requests_get_any_and_the_script_is_told_of_them(builder, pools, leads_to, context):
    made = virtual_hosts(builder, split(*pools, name="e" * 36 + "-9000", why=STOPPED))["e" * 36 + "-9000"]
    last = made.routes[-1]
    assert last.HasField("direct_response") == (leads_to is None)
    if leads_to is not None:
        assert last.route.cluster.replace("e" * 36 + "-9000", "r") == leads_to
    assert sticky_context(made) == context


def sticky_context(host) -> tuple[str, str] | None:
    config = lua_pb2.LuaPerRoute()
    if not host.typed_per_filter_config["envoy.filters.http.lua"].Unpack(config):
        return None
    endpoint, weights, keeps = config.filter_context["pools"].split(";")
    assert endpoint == "e" * 36
    return weights, keeps


def addresses(assignment) -> list[str]:
    return [each.endpoint.address.socket_address.address for each in assignment.endpoints[0].lb_endpoints]
