"""The incremental protocol: an Envoy played by hand against one session."""

from collections.abc import Mapping

import pytest
from envoy.service.discovery.v3 import discovery_pb2
from roost_server.gateway.delta import KINDS, Response, Session
from roost_server.gateway.resources.clusters import CLUSTER, ENDPOINTS
from roost_server.gateway.resources.extensions import EXTENSIONS
from roost_server.gateway.resources.listeners import LISTENER
from roost_server.gateway.resources.secrets import SECRET
from roost_server.gateway.resources.virtual_hosts import ROUTES
from roost_server.gateway.resources.wire import Resource

Names = Mapping[str, str]
"""Resource name → its content, by which versions differ."""


NONE: Names = {}


def catalog(
    clusters: Names = NONE,
    routes: str = "",
    *,
    endpoints: Names | None = None,
    secrets: Names = NONE,
    filters: Names = NONE,
):
    """A small catalog; endpoints are named as the clusters."""
    contents = {
        CLUSTER: clusters,
        ENDPOINTS: clusters if endpoints is None else endpoints,
        SECRET: secrets,
        LISTENER: {"http": "listener"},
        EXTENSIONS: filters,
        ROUTES: {"roost": routes},
    }
    return {
        kind: {name: Resource.of(kind, name, content.encode()) for name, content in names.items()}
        for kind, names in contents.items()
    }


class Envoy:
    """Answers as Envoy does: subscribes to the endpoints of its clusters and to the routes of its listeners."""

    def __init__(self, holds: Mapping[str, Mapping[str, Resource]] | None = None) -> None:
        self.session = Session()
        self.log: list[tuple[str, list[str], list[str]]] = []
        self.asked: dict[str, set[str]] = {kind: set() for kind in KINDS}
        for kind in (CLUSTER, LISTENER):
            self.ask(kind, versions=versions(holds, kind))
        if holds:
            for kind in (ENDPOINTS, ROUTES):
                self.ask(kind, *holds[kind], versions=versions(holds, kind))

    def ask(self, kind: str, *names: str, drop: tuple[str, ...] = (), versions: Names | None = None) -> None:
        self.asked[kind].update(names)
        self.asked[kind].difference_update(drop)
        self.session.read(
            discovery_pb2.DeltaDiscoveryRequest(
                type_url=kind,
                resource_names_subscribe=names,
                resource_names_unsubscribe=drop,
                initial_resource_versions=versions or {},
            )
        )

    def answer(self, response: Response, refusal: str = "") -> None:
        request = discovery_pb2.DeltaDiscoveryRequest(type_url=response.kind, response_nonce=response.nonce)
        if refusal:
            request.error_detail.message = refusal
        self.session.read(request)

    def take_all(self, refuse: Names = {}) -> list[str]:  # noqa: B006
        """Take every response until there is none; the kinds in order."""
        start = len(self.log)
        while (response := self.session.next_response()) is not None:
            names = [each.name for each in response.changed]
            self.log.append((response.kind, sorted(names), sorted(response.removed)))
            self.react(response, names, refuse)
            self.answer(response, refuse.get(response.kind, ""))
        return [kind for kind, _, _ in self.log[start:]]

    def react(self, response: Response, names: list[str], refuse: Names) -> None:
        if response.kind in refuse:
            return
        if response.kind == CLUSTER:
            new = [name for name in names if name not in self.asked[ENDPOINTS]]
            if new or response.removed:
                self.ask(ENDPOINTS, *new, drop=response.removed)
        if response.kind == LISTENER and "roost" not in self.asked[ROUTES]:
            self.ask(ROUTES, "roost")


def versions(holds, kind: str) -> dict[str, str]:
    return {name: each.version for name, each in holds[kind].items()} if holds else {}


def served(wanted) -> Envoy:
    """An Envoy that has taken `wanted`."""
    envoy = Envoy()
    envoy.session.want(wanted)
    envoy.take_all()
    assert envoy.session.serves(wanted)
    envoy.log.clear()
    return envoy


def test_nothing_is_said_before_something_is_wanted():
    assert Envoy().session.next_response() is None


def test_clusters_and_endpoints_come_before_the_routes_to_them():
    envoy = Envoy()
    envoy.session.want(catalog({"a": "1"}, "to a"))
    assert envoy.take_all() == [CLUSTER, ENDPOINTS, LISTENER, ROUTES]


def test_filters_know_what_routes_name_of_them_before_the_routes_come():
    envoy = Envoy()
    envoy.ask(EXTENSIONS, "tokens")
    envoy.session.want(catalog(routes="to a", filters={"tokens": "1"}))
    assert envoy.take_all() == [CLUSTER, LISTENER, EXTENSIONS, ROUTES]
    envoy.session.want(catalog(routes="to a, guarded", filters={"tokens": "2"}))
    changed = envoy.session.next_response()
    assert changed.kind == EXTENSIONS
    assert envoy.session.next_response() is None, "routes wait until Envoy has answered"
    envoy.answer(changed)
    assert envoy.take_all() == [ROUTES]


def test_filters_that_envoy_refuses_do_not_hold_up_the_routes():
    envoy = served(catalog(filters={"tokens": "1"}))
    envoy.ask(EXTENSIONS, "tokens")
    envoy.take_all()
    wanted = catalog(routes="to a", filters={"tokens": "2"})
    envoy.session.want(wanted)
    assert envoy.take_all(refuse={EXTENSIONS: "no"}) == [EXTENSIONS, ROUTES]
    assert envoy.session.refusals() == {"tokens": "no"}


def test_an_empty_catalog_is_answered_too_because_envoy_waits_for_it():
    envoy = Envoy()
    wanted = catalog()
    envoy.session.want(wanted)
    assert envoy.take_all()[:1] == [CLUSTER]
    assert envoy.session.serves(wanted)


def test_a_cluster_goes_only_after_no_route_leads_to_it():
    envoy = served(catalog({"a": "1", "b": "1"}, "to a and b"))
    wanted = catalog({"b": "1"}, "to b")
    envoy.session.want(wanted)
    envoy.take_all()
    assert envoy.log == [(ROUTES, ["roost"], []), (CLUSTER, [], ["a"])]
    assert envoy.session.serves(wanted)


def test_one_cluster_is_exchanged_for_another_without_a_gap():
    envoy = served(catalog({"a": "1"}, "to a"))
    envoy.session.want(catalog({"b": "1"}, "to b"))
    envoy.take_all()
    assert envoy.log == [
        (CLUSTER, ["b"], []),
        (ENDPOINTS, ["b"], []),
        (ROUTES, ["roost"], []),
        (CLUSTER, [], ["a"]),
    ]


def test_only_the_endpoints_that_changed_are_sent():
    clusters = {"a": "1", "b": "1"}
    envoy = served(catalog(clusters, "r"))
    envoy.session.want(catalog(clusters, "r", endpoints={"a": "1", "b": "2"}))
    envoy.take_all()
    assert envoy.log == [(ENDPOINTS, ["b"], [])]


def test_a_cluster_that_is_replaced_gets_its_endpoints_again():
    envoy = served(catalog({"a": "1"}, "r"))
    envoy.session.want(catalog({"a": "2"}, "r", endpoints={"a": "1"}))
    envoy.take_all()
    assert envoy.log == [(CLUSTER, ["a"], []), (ENDPOINTS, ["a"], [])]


def test_changes_that_arrive_while_envoy_is_busy_are_sent_together():
    envoy = served(catalog({"a": "1", "b": "1"}, "r"))
    envoy.session.want(catalog({"a": "1", "b": "1"}, "r", endpoints={"a": "2", "b": "1"}))
    busy = envoy.session.next_response()
    assert busy is not None
    for content in "34":
        envoy.session.want(catalog({"a": "1", "b": "1"}, "r", endpoints={"a": content, "b": content}))
    assert envoy.session.next_response() is None
    envoy.answer(busy)
    envoy.take_all()
    assert envoy.log == [(ENDPOINTS, ["a", "b"], [])]


def test_an_envoy_that_comes_back_with_everything_is_sent_nothing_of_it():
    wanted = catalog({"a": "1"}, "r")
    envoy = Envoy(holds=wanted)
    envoy.session.want(wanted)
    envoy.take_all()
    assert all(not names and not removed for _, names, removed in envoy.log)
    assert envoy.session.serves(wanted)


def test_an_envoy_that_comes_back_with_old_things_is_brought_up_to_date():
    envoy = Envoy(holds=catalog({"a": "1", "old": "1"}, "before"))
    wanted = catalog({"a": "1", "new": "1"}, "after")
    envoy.session.want(wanted)
    envoy.take_all()
    assert envoy.log == [
        (CLUSTER, ["new"], []),
        (ENDPOINTS, ["new"], []),
        (LISTENER, [], []),
        (ROUTES, ["roost"], []),
        (CLUSTER, [], ["old"]),
    ]


def test_a_cluster_that_is_replaced_before_envoy_asked_for_endpoints_gets_them_again_too():
    before, wanted = catalog({"a": "1"}, "r"), catalog({"a": "2"}, "r", endpoints={"a": "1"})
    envoy = Envoy()
    envoy.ask(CLUSTER, versions=versions(before, CLUSTER))
    envoy.session.want(wanted)
    replaced = envoy.session.next_response()
    assert (replaced.kind, [each.name for each in replaced.changed]) == (CLUSTER, ["a"])
    envoy.ask(ENDPOINTS, "a", versions=versions(before, ENDPOINTS))
    again = envoy.session.next_response()
    assert (again.kind, [each.name for each in again.changed]) == (ENDPOINTS, ["a"])


@pytest.mark.parametrize("kind", [CLUSTER, ENDPOINTS, LISTENER, ROUTES])
def test_what_envoy_refuses_is_told_and_not_sent_again_until_it_changes(kind):
    envoy = Envoy()
    wanted = catalog({"a": "1"}, "r")
    envoy.session.want(wanted)
    envoy.take_all(refuse={kind: "bad"})
    assert set(envoy.session.refusals().values()) == {"bad"}
    assert envoy.session.next_response() is None
    better = catalog({"a": "2"}, "better")
    better[LISTENER] = {"http": Resource.of(LISTENER, "http", b"better")}
    envoy.session.want(better)
    assert envoy.session.refusals() == {}
    envoy.take_all()
    assert envoy.session.serves(better)


def test_while_routes_are_refused_the_clusters_of_the_old_ones_stay():
    envoy = served(catalog({"a": "1"}, "to a"))
    envoy.session.want(catalog({"b": "1"}, "to b"))
    envoy.take_all(refuse={ROUTES: "bad"})
    assert (CLUSTER, [], ["a"]) not in envoy.log


def test_a_secret_that_does_not_exist_is_answered_as_absent_and_sent_once_it_does():
    envoy = served(catalog())
    envoy.ask(SECRET, "host")
    assert envoy.session.missing(SECRET) == {"host"}
    envoy.take_all()
    envoy.session.want(catalog(secrets={"host": "certificate"}))
    envoy.take_all()
    assert envoy.log == [(SECRET, [], ["host"]), (SECRET, ["host"], [])]


def test_a_name_that_envoy_asks_for_again_is_sent_again():
    envoy = served(catalog({"a": "1"}, "r"))
    envoy.ask(ENDPOINTS, drop=("a",))
    envoy.ask(ENDPOINTS, "a")
    envoy.take_all()
    assert envoy.log == [(ENDPOINTS, ["a"], [])]


def test_an_answer_to_an_older_response_counts_for_nothing():
    envoy = served(catalog({"a": "1"}, "r"))
    wanted = catalog({"a": "1"}, "other")
    envoy.session.want(wanted)
    response = envoy.session.next_response()
    assert response is not None
    envoy.answer(Response(ROUTES, "0"))
    assert not envoy.session.serves(wanted)
    envoy.answer(response)
    assert envoy.session.serves(wanted)


def test_a_response_is_encoded_as_the_library_reads_it():
    resource = Resource.of(CLUSTER, "a", b"")
    message = discovery_pb2.DeltaDiscoveryResponse.FromString(Response(CLUSTER, "7", (resource,), ("b",)).encode())
    assert (message.type_url, message.nonce, list(message.removed_resources)) == (CLUSTER, "7", ["b"])
    assert [(each.name, each.version) for each in message.resources] == [("a", resource.version)]
