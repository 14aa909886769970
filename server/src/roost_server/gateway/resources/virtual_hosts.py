"""A route's hosts as an Envoy virtual host, and all of them as one route configuration.

Each virtual host has three rules: gRPC goes to the HTTP/2 clusters; GET may be sent again when a replica dies
before it answers; everything else is sent again only if no replica has seen it. Of several versions one is drawn by
weight, after three rules more for each version that sessions may be kept with. A route without a version that takes
new requests answers 503 by itself.
"""

import functools
import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2
from envoy.type.matcher.v3 import string_pb2

from roost_server.domain import errors
from roost_server.domain.route import Pool, Route, Unavailable
from roost_server.gateway.resources import clusters, headers, stickiness, wire
from roost_server.gateway.resources.clusters import duration
from roost_server.gateway.resources.guards import BuiltGuard
from roost_server.gateway.resources.wire import Resource

ROUTES = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
ROUTES_NAME = "roost"
VIRTUAL_HOSTS, RULES, RULE_ACTION = 2, 3, 2
"""Field numbers: RouteConfiguration.virtual_hosts, VirtualHost.routes, Route.route."""

HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\]")
DETAIL_MAX = 4000
BODY_MAX_BYTES = 64 * 1024
NO_BACKEND = Unavailable("waiting", "cannot reach this runtime: it has no ready replica", 1)

NOT_SEEN = "connect-failure,refused-stream,reset-before-request"
NOT_ANSWERED = f"{NOT_SEEN},reset"


def virtual_host(route: Route, hosts: Iterable[str], ready: Sequence[Pool], guard: BuiltGuard) -> bytes:
    """A route's virtual host, serialised as a field of the route configuration. `ready` are its pools with a backend
    that takes requests; the others get no request, whatever their weight."""
    serving = [] if guard.closed else [pool for pool in ready if pool.weight > 0 or pool.keeps_sessions]
    weighted = [pool for pool in serving if pool.weight > 0]
    refusal = guard.closed or route.unavailable or NO_BACKEND
    rules = _forwarding(route.id, weighted) if weighted else [_refusing(refusal)]
    names = wire.serialized(route_components_pb2.VirtualHost(name=route.id, domains=list(hosts)))
    if serving != weighted or len(serving) > 1:
        rules = [*_kept(route.id, serving), *rules]
    sticky = stickiness.enabled(route.id, serving) if serving else b""
    return wire.field(VIRTUAL_HOSTS, names + guard.fields + _default_retry() + sticky + wire.fields(RULES, rules))


def route_configuration(virtual_hosts: Iterable[bytes]) -> Resource:
    """Every virtual host in one resource; a host that is in none of them finds no route."""
    frame = route_pb2.RouteConfiguration(
        name=ROUTES_NAME,
        ignore_port_in_host_matching=True,
        max_direct_response_body_size_bytes={"value": BODY_MAX_BYTES},
        request_headers_to_add=headers.added(),
        request_headers_to_remove=headers.REMOVED,
    )
    return Resource.of(ROUTES, ROUTES_NAME, wire.serialized(frame) + b"".join(virtual_hosts))


def usable_hosts(route: Route) -> list[str]:
    """Hosts as Envoy compares them, without those it would read as a pattern or refuse."""
    lowered = dict.fromkeys(host.lower() for host in route.hosts)
    return [host for host in lowered if HOST.fullmatch(host)]


def _forwarding(route_id: str, weighted: Sequence[Pool]) -> list[bytes]:
    """Any request, to the one pool or to one drawn by weight."""
    grpc, get, anything = _rules(None)
    h1, h2 = _to(clusters.h1_name, route_id, weighted), _to(clusters.h2_name, route_id, weighted)
    return [grpc + h2, get + h1, anything + h1]


def _kept(route_id: str, serving: Sequence[Pool]) -> list[bytes]:
    """Requests of sessions whose version the script has found."""
    rules = []
    for pool in serving:
        grpc, get, anything = _rules(pool.version)
        h1, h2 = _to(clusters.h1_name, route_id, [pool]), _to(clusters.h2_name, route_id, [pool])
        rules += [grpc + h2, get + h1, anything + h1]
    return rules


def _to(name: Callable[[str, int], str], route_id: str, pools: Sequence[Pool]) -> bytes:
    """Where a rule leads whose other fields are serialised already; the parser merges the two."""
    if len(pools) == 1:
        return _action(cluster=name(route_id, pools[0].version))
    weights = [
        route_components_pb2.WeightedCluster.ClusterWeight(
            name=name(route_id, pool.version), weight={"value": pool.weight}
        )
        for pool in pools
    ]
    return _action(weighted_clusters=route_components_pb2.WeightedCluster(clusters=weights))


def _action(**destination: Any) -> bytes:
    return wire.field(RULE_ACTION, wire.serialized(route_components_pb2.RouteAction(**destination)))


@functools.lru_cache(maxsize=1024)
def _rules(version: int | None) -> tuple[bytes, bytes, bytes]:
    """What the three rules, of sessions of one version or of every request, have in common in every virtual host:
    everything but where they lead."""
    is_grpc = route_components_pb2.RouteMatch.GrpcRouteMatchOptions()
    own = [] if version is None else [_header(headers.VERSION, str(version))]
    return (
        _rule(route_components_pb2.RouteMatch(prefix="/", grpc=is_grpc, headers=own)),
        _rule(
            route_components_pb2.RouteMatch(prefix="/", headers=[_header(":method", "GET"), *own]),
            retry_policy=_retry(NOT_ANSWERED, 2),
        ),
        _rule(route_components_pb2.RouteMatch(prefix="/", headers=own)),
    )


def _rule(match: Any, **action: Any) -> bytes:
    forward = route_components_pb2.RouteAction(timeout=duration(0), **action)
    return wire.serialized(route_components_pb2.Route(match=match, route=forward))


@functools.cache
def _default_retry() -> bytes:
    return wire.serialized(route_components_pb2.VirtualHost(retry_policy=_retry(NOT_SEEN, 3)))


def _header(name: str, value: str) -> Any:
    return route_components_pb2.HeaderMatcher(name=name, string_match=string_pb2.StringMatcher(exact=value))


def _retry(retry_on: str, times: int) -> Any:
    """Another replica is preferred; the same one is tried again when it is the only one. Envoy draws replicas until it
    has one that was not tried, at most so many times: of two, few draws would too often find the dead one again."""
    elsewhere = route_components_pb2.RetryPolicy.RetryHostPredicate(name="envoy.retry_host_predicates.previous_hosts")
    elsewhere.typed_config.Pack(previous_hosts_pb2.PreviousHostsPredicate())
    return route_components_pb2.RetryPolicy(
        retry_on=retry_on,
        num_retries={"value": times},
        retry_host_predicate=[elsewhere],
        host_selection_retry_max_attempts=20,
        retry_back_off={"base_interval": duration(0.025), "max_interval": duration(0.25)},
    )


def _refusing(unavailable: Unavailable) -> bytes:
    return wire.serialized(
        route_components_pb2.Route(
            match=route_components_pb2.RouteMatch(prefix="/"),
            direct_response=route_components_pb2.DirectResponseAction(
                status=errors.Unavailable.code, body=base_pb2.DataSource(inline_string=_body(unavailable))
            ),
            response_headers_to_add=[_retry_after(unavailable.retry_after_seconds)],
        )
    )


def _body(unavailable: Unavailable) -> str:
    kind = errors.Unavailable
    detail = unavailable.message[:DETAIL_MAX]
    envelope = {"code": kind.code, "detail": detail, "type": kind.type, "reason": unavailable.reason}
    return json.dumps(envelope, separators=(",", ":")) + "\n"


def _retry_after(seconds: int) -> Any:
    return base_pb2.HeaderValueOption(
        header=base_pb2.HeaderValue(key="retry-after", value=str(max(1, seconds))),
        append_action=base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
    )
