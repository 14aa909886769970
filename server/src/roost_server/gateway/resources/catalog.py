"""Snapshot → everything that Envoy shall have. A route that did not change is not built again."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import structlog

from roost_server.domain.route import Route, Snapshot
from roost_server.gateway.resources import clusters, extensions, guards, listeners, secrets, tracing, virtual_hosts
from roost_server.gateway.resources.wire import Resource
from roost_server.gateway.settings import GatewaySettings

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class BuiltRoute:
    """What one route becomes. `usable` are its hosts that Envoy accepts, `hosts` those that no earlier route has."""

    route: Route
    usable: tuple[str, ...]
    hosts: tuple[str, ...]
    clusters: tuple[Resource, ...]
    endpoints: tuple[Resource, ...]
    virtual_host: bytes
    guard: guards.BuiltGuard

    def holds_with(self, taken: set[str]) -> bool:
        """Whether building it again, with these hosts gone to others, would give the same."""
        return self.hosts == self.usable and taken.isdisjoint(self.hosts)


class Builder:
    """Builds catalogs; keeps what it built of each route."""

    def __init__(self, settings: GatewaySettings, tls: Any) -> None:
        self._settings = settings
        self._collector = tracing.collector(settings.otlp_endpoint)
        self._listeners = _by_name(listeners.listeners(settings, tls))
        self._built: dict[str, BuiltRoute] = {}
        self._virtual_hosts: list[bytes] | None = None
        self._routes: dict[str, Resource] = {}
        self._filters = guards.Filters()

    def build(self, snapshot: Snapshot, certificates: Mapping[str, Resource]) -> dict[str, Mapping[str, Resource]]:
        """The catalog: kind → name → resource. A host or route id that is there twice belongs to the first route;
        Envoy would refuse everything otherwise."""
        self._built = self._build_routes(snapshot)
        built = self._built.values()
        return {
            clusters.CLUSTER: _by_name(chain(self._collector, (made for each in built for made in each.clusters))),
            clusters.ENDPOINTS: _by_name(made for each in built for made in each.endpoints),
            secrets.SECRET: dict(certificates),
            listeners.LISTENER: self._listeners,
            extensions.EXTENSIONS: self._filters.build((each.route.id, each.guard) for each in built),
            virtual_hosts.ROUTES: self._join([each.virtual_host for each in built if each.hosts]),
        }

    def confirmed(self) -> None:
        """Envoy has all of the last catalog."""
        self._filters.confirmed()

    def _join(self, hosts: list[bytes]) -> dict[str, Resource]:
        """The route configuration, joined again only when a virtual host changed."""
        if hosts != self._virtual_hosts:
            self._virtual_hosts = hosts
            self._routes = _by_name([virtual_hosts.route_configuration(hosts)])
        return self._routes

    def _build_routes(self, snapshot: Snapshot) -> dict[str, BuiltRoute]:
        taken: set[str] = set()
        built: dict[str, BuiltRoute] = {}
        for route in snapshot.routes:
            if route.id not in built:
                built[route.id] = self._route(route, taken)
                taken.update(built[route.id].hosts)
        _report(snapshot, built)
        return built

    def _route(self, route: Route, taken: set[str]) -> BuiltRoute:
        known = self._built.get(route.id)
        if known is None or known.route != route or not known.holds_with(taken):
            return self._build_route(route, taken)
        return known

    def _build_route(self, route: Route, taken: set[str]) -> BuiltRoute:
        usable = tuple(virtual_hosts.usable_hosts(route))
        hosts = tuple(host for host in usable if host not in taken)
        pools = [(pool, backends) for pool in route.pools if (backends := clusters.usable_addresses(pool.backends))]
        ready = [pool for pool, backends in pools if any(not backend.draining for backend in backends)]
        guard = guards.build(route.guard)
        return BuiltRoute(
            route,
            usable,
            hosts,
            tuple(made for pool, _ in pools for made in self._clusters(route, pool.version)),
            tuple(made for pool, backends in pools for made in clusters.endpoints(route.id, pool.version, backends)),
            virtual_hosts.virtual_host(route, hosts, ready, guard) if hosts else b"",
            guard,
        )

    def _clusters(self, route: Route, version: int) -> list[Resource]:
        more = tracing.metadata(self._settings.otlp_endpoint, route, version)
        times = clusters.Times(self._settings.connect_timeout_seconds, self._settings.idle_seconds)
        return clusters.clusters(route.id, version, times, more)


def _by_name(resources: Any) -> dict[str, Resource]:
    return {each.name: each for each in resources}


def _report(snapshot: Snapshot, built: Mapping[str, BuiltRoute]) -> None:
    """Say once a publish which routes could not be taken over whole."""
    fewer = [each.route.id for each in built.values() if len(each.hosts) < len(each.route.hosts)]
    repeated = len(snapshot.routes) - len(built)
    if fewer or repeated:
        log.error("routes left out hosts that are invalid or taken", routes=fewer, repeated=repeated)
