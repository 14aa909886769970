"""One Envoy's view of its configuration: what it asked for, was told and has confirmed. Pure, no I/O.

The incremental xDS protocol (envoyproxy.io, "xDS REST and gRPC protocol") as a session that answers one question:
what is to be sent next? At most one response a kind is under way, so changes that arrive meanwhile are sent
together. Order makes every change seamless: clusters and their endpoints are there before routes lead to them,
and clusters go only after no route leads to them any more.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from envoy.service.discovery.v3 import discovery_pb2

from roost_server.gateway.resources import wire
from roost_server.gateway.resources.clusters import CLUSTER, ENDPOINTS
from roost_server.gateway.resources.extensions import EXTENSIONS
from roost_server.gateway.resources.listeners import LISTENER
from roost_server.gateway.resources.secrets import SECRET
from roost_server.gateway.resources.virtual_hosts import ROUTES
from roost_server.gateway.resources.wire import Resource

Catalog = Mapping[str, Mapping[str, Resource]]
"""Everything that is wanted: kind (type URL) → name → resource."""

KINDS = (CLUSTER, ENDPOINTS, SECRET, LISTENER, EXTENSIONS, ROUTES)
EVERYTHING = frozenset({CLUSTER, LISTENER})
"""Kinds of which Envoy wants all; of the others it names those that it wants."""

ABSENT = ""
"""The version that Envoy is told of a resource that does not exist."""

RESOURCES_FIELD = 2
"""Number of `resources` in DeltaDiscoveryResponse."""


@dataclass(frozen=True)
class Response:
    """One message to Envoy: resources to set and names to remove."""

    kind: str
    nonce: str
    changed: tuple[Resource, ...] = ()
    removed: tuple[str, ...] = ()

    def encode(self) -> bytes:
        """A serialised DeltaDiscoveryResponse, joined from the resources' own bytes."""
        frame = discovery_pb2.DeltaDiscoveryResponse(
            type_url=self.kind, nonce=self.nonce, removed_resources=self.removed
        )
        return wire.serialized(frame) + wire.fields(RESOURCES_FIELD, (each.entry for each in self.changed))


@dataclass
class Subscription:
    """What one Envoy knows of one kind.

    `told` holds the version last sent (or brought along from an earlier server) by name; `due` the names that it
    has to be told, `gone` those to take back; `refused` its reasons by name; `outdated` what it brings along in vain.
    `owed`: it waits for a first answer, even an empty one.
    """

    kind: str
    wanted: Mapping[str, Resource] = field(default_factory=dict)
    opened: bool = False
    owed: bool = False
    names: set[str] = field(default_factory=set)
    told: dict[str, str] = field(default_factory=dict)
    due: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    outdated: set[str] = field(default_factory=set)
    unanswered: Response | None = None

    def want(self, wanted: Mapping[str, Resource]) -> None:
        """Find what differs from what Envoy was told."""
        self.wanted = wanted
        told = self.told.get
        self.due = {name for name, each in wanted.items() if told(name) != each.version}
        if self.kind in EVERYTHING:
            self.gone = self.told.keys() - wanted.keys()
        else:
            self.due &= self.names
            self.gone = {name for name in self.names - wanted.keys() if name not in self.told}

    def read(self, request: Any) -> None:
        """Take in a DeltaDiscoveryRequest: subscriptions, and the answer to the response under way."""
        if not self.opened:
            self._open(request)
        elif self.kind not in EVERYTHING:
            self._subscribe(request)
        if self.unanswered is not None and request.response_nonce == self.unanswered.nonce:
            self._settle(request.error_detail.message if request.HasField("error_detail") else "")

    def again(self, names: Iterable[str]) -> None:
        """Send these once more, whatever was sent before, if only by an earlier server."""
        for name in names:
            if not self.opened:
                self.outdated.add(name)
            if self.told.pop(name, None) is not None and name in self.wanted and name in self.names:
                self.due.add(name)

    def respond(self, nonce: str, *, may_remove: bool) -> Response | None:
        """The response that is due, now under way; or None."""
        removed = tuple(self.gone) if may_remove else ()
        if not self.opened or self.unanswered is not None or not (self.due or removed or self.owed):
            return None
        self.unanswered = Response(self.kind, nonce, tuple(self.wanted[name] for name in self.due), removed)
        self._note(self.unanswered)
        return self.unanswered

    @property
    def settled(self) -> bool:
        """Whether Envoy answered (if only with a refusal) for everything that it has to be told."""
        return not self.due and not self.gone and self.unanswered is None

    def refusals(self) -> list[tuple[str, str]]:
        """Names and reasons of resources that are wanted as Envoy refused them."""
        return [
            (name, why)
            for name, why in self.refused.items()
            if name in self.wanted and self.told.get(name) == self.wanted[name].version
        ]

    def _open(self, request: Any) -> None:
        self.opened, self.owed = True, self.kind in EVERYTHING
        self.names.update(request.resource_names_subscribe)
        held = request.initial_resource_versions.items()
        self.told.update((name, version) for name, version in held if name not in self.outdated)
        self.want(self.wanted)

    def _subscribe(self, request: Any) -> None:
        for name in request.resource_names_unsubscribe:
            self._drop(name)
        for name in request.resource_names_subscribe:
            self.names.add(name)
            self.told.pop(name, None)
            (self.due if name in self.wanted else self.gone).add(name)

    def _drop(self, name: str) -> None:
        self.names.discard(name)
        self.due.discard(name)
        self.gone.discard(name)
        self.told.pop(name, None)
        self.refused.pop(name, None)

    def _note(self, response: Response) -> None:
        self.told.update((each.name, each.version) for each in response.changed)
        for name in response.removed:
            self._forget(name)
        for each in response.changed:
            self.refused.pop(each.name, None)
        self.due, self.owed = set(), False
        self.gone.difference_update(response.removed)

    def _forget(self, name: str) -> None:
        self.refused.pop(name, None)
        if self.kind in EVERYTHING:
            self.told.pop(name, None)
        else:
            self.told[name] = ABSENT

    def _settle(self, refusal: str) -> None:
        if refusal and self.unanswered is not None:
            self.refused.update((each.name, refusal) for each in self.unanswered.changed)
        self.unanswered = None


class Session:
    """All kinds together, for as long as one stream lasts. Says nothing until `want` was called."""

    def __init__(self) -> None:
        self._kinds = {kind: Subscription(kind) for kind in KINDS}
        self._catalog: Catalog | None = None
        self._nonce = 0

    def want(self, catalog: Catalog) -> None:
        """Make `catalog` what Envoy shall have."""
        self._catalog = catalog
        for kind, subscription in self._kinds.items():
            if subscription.wanted is not catalog[kind]:
                subscription.want(catalog[kind])

    def read(self, request: Any) -> None:
        """Take in a request; kinds that Roost does not serve are ignored."""
        if request.type_url in self._kinds:
            self._kinds[request.type_url].read(request)

    def missing(self, kind: str) -> set[str]:
        """Names that Envoy asked for and that are not in the catalog."""
        subscription = self._kinds[kind]
        return subscription.names - subscription.wanted.keys()

    def next_response(self) -> Response | None:
        """What to send now, or None until Envoy answers or something else is wanted."""
        if self._catalog is None:
            return None
        for kind in KINDS:
            response = self._next_of(kind)
            if response is not None:
                return response
        return None

    def serves(self, catalog: Catalog) -> bool:
        """Whether Envoy has answered for everything in `catalog` and holds nothing else."""
        return (
            self._catalog is catalog
            and all(each.settled for each in self._kinds.values())
            and self._backends_there()
            and self._routes_found()
        )

    def refusals(self) -> dict[str, str]:
        """Envoy's reasons by resource name, for what is still wanted as it was refused."""
        return {name: why for each in self._kinds.values() for name, why in each.refusals()}

    def _next_of(self, kind: str) -> Response | None:
        if kind == ROUTES and not (self._backends_there() and self._filters_there()):
            return None
        may_remove = kind != CLUSTER or self._routes_left()
        response = self._kinds[kind].respond(str(self._nonce + 1), may_remove=may_remove)
        if response is not None:
            self._nonce += 1
        if response is not None and kind == CLUSTER:
            self._kinds[ENDPOINTS].again(each.name for each in response.changed)
        return response

    def _backends_there(self) -> bool:
        """Every wanted cluster is known with its endpoints, or was refused and will not come. (A cluster that is
        sent again waits for its endpoints, although Envoy does not ask for them again; one that has none in the
        catalog finds its own.)"""
        clusters, endpoints = self._kinds[CLUSTER], self._kinds[ENDPOINTS]
        if clusters.due or clusters.unanswered or endpoints.due or endpoints.unanswered:
            return False
        return (endpoints.wanted.keys() - endpoints.names) <= clusters.refused.keys()

    def _filters_there(self) -> bool:
        """The filters know what routes name of them, or refused to."""
        extensions = self._kinds[EXTENSIONS]
        return not extensions.due and extensions.unanswered is None

    def _routes_left(self) -> bool:
        """No route leads to a cluster that is no longer wanted."""
        routes = self._kinds[ROUTES]
        return not routes.refused and (routes.settled or not routes.opened)

    def _routes_found(self) -> bool:
        """Listeners found their routes."""
        listeners = self._kinds[LISTENER]
        return listeners.opened and (
            bool(self._kinds[ROUTES].names) or listeners.wanted.keys() <= listeners.refused.keys()
        )
