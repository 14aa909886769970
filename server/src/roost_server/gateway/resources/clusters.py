"""A route's pools as Envoy clusters and their endpoints.

Every pool with backends has two clusters: `h1/<route>/<version>` speaks HTTP/1.1, which every agent understands, and
`h2/<route>/<version>` speaks HTTP/2 without TLS, for gRPC. A cluster's definition depends on its name alone, so
that replicas come and go as endpoint updates, which keep connections and requests in flight, and traffic moves to
another version as an update of the routes, beside clusters that stay.
"""

import functools
import ipaddress
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from envoy.config.cluster.v3 import circuit_breaker_pb2, cluster_pb2, outlier_detection_pb2
from envoy.config.core.v3 import address_pb2, config_source_pb2, health_check_pb2, protocol_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from google.protobuf import duration_pb2, wrappers_pb2

from roost_server.domain.route import Backend
from roost_server.gateway.resources import wire
from roost_server.gateway.resources.wire import Resource
from roost_server.gateway.settings import IDLE_SECONDS

CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
ENDPOINTS = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

UNLIMITED = 1_000_000_000
"""Envoy's default circuit breakers allow 1,024 requests a cluster and 3 retries; open streams need more."""

HEADER_LIMIT_KB = 128
HEADER_COUNT = 500


ENDPOINT_ID_LENGTH = 36


class Times(NamedTuple):
    """Seconds to wait for a connection, and to keep one that is idle."""

    connect: float
    idle: float


def h1_name(route_id: str, version: int) -> str:
    return f"h1/{route_id}/{version}"


def h2_name(route_id: str, version: int) -> str:
    return f"h2/{route_id}/{version}"


def endpoint_of(route_id: str) -> str:
    """The endpoint whose route, or whose exposed port's, this is."""
    return route_id[:ENDPOINT_ID_LENGTH]


def clusters(route_id: str, version: int, times: Times, more: bytes = b"") -> list[Resource]:
    """Both clusters of a pool. `more` are further fields, serialised."""
    h1, h2 = h1_name(route_id, version), h2_name(route_id, version)
    return [
        _named(CLUSTER, h1, _definition(http1_options, times) + more),
        _named(CLUSTER, h2, _definition(_http2_options, times) + more),
    ]


def endpoints(route_id: str, version: int, backends: list[Backend]) -> list[Resource]:
    """The endpoints of both clusters, which are the same."""
    places = _endpoints(backends)
    return [_named(ENDPOINTS, name, places) for name in (h1_name(route_id, version), h2_name(route_id, version))]


def usable_addresses(backends: Iterable[Backend]) -> list[Backend]:
    """One backend per address, in a stable order. Left out are addresses that are no IP: a single one would make
    Envoy refuse its whole update. Of two backends with one address the one that is not draining counts."""
    chosen: dict[tuple[str, int], Backend] = {}
    for backend in sorted(backends, key=lambda each: (each.address, each.port, not each.draining)):
        if _is_address(backend):
            chosen[backend.address, backend.port] = backend
    return list(chosen.values())


def _is_address(backend: Backend) -> bool:
    try:
        ipaddress.ip_address(backend.address)
    except ValueError:
        return False
    return 0 < backend.port < 65536


def _named(kind: str, name: str, rest: bytes) -> Resource:
    """The name is field 1 of both kinds, so the rest can be serialised without it."""
    return Resource.of(kind, name, wire.field(1, name.encode()) + rest)


@functools.cache
def _definition(options: Callable[[float], Any], times: Times) -> bytes:
    """A serialised Cluster without its name."""
    cluster = cluster_pb2.Cluster(
        type=cluster_pb2.Cluster.EDS,
        eds_cluster_config=cluster_pb2.Cluster.EdsClusterConfig(eds_config=from_ads()),
        connect_timeout=duration(times.connect),
        lb_policy=cluster_pb2.Cluster.LEAST_REQUEST,
        circuit_breakers=_no_circuit_breaking(),
        common_lb_config=_common_lb(),
        outlier_detection=_outlier_detection(),
        upstream_connection_options=_keepalive(),
    )
    cluster.typed_extension_protocol_options[HTTP_OPTIONS].Pack(options(times.idle), deterministic=True)
    return wire.serialized(cluster)


def _common_lb() -> Any:
    """No panic mode (it would send requests to draining backends) and no merging of health changes, which would
    delay a drain by a second."""
    return cluster_pb2.Cluster.CommonLbConfig(
        healthy_panic_threshold={"value": 0.0},
        update_merge_window=duration(0),
    )


def _outlier_detection() -> Any:
    """A replica that does not take connections is passed over for a few seconds, unless it is the only one. What
    replicas answer never counts against them."""
    never = {"value": 0}
    return outlier_detection_pb2.OutlierDetection(
        split_external_local_origin_errors=True,
        consecutive_local_origin_failure={"value": 3},
        enforcing_consecutive_local_origin_failure={"value": 100},
        enforcing_local_origin_success_rate=never,
        enforcing_consecutive_5xx=never,
        enforcing_consecutive_gateway_failure=never,
        enforcing_success_rate=never,
        enforcing_failure_percentage=never,
        enforcing_failure_percentage_local_origin=never,
        max_ejection_percent={"value": 50},
        interval=duration(5),
        base_ejection_time=duration(2),
        max_ejection_time=duration(10),
    )


def _no_circuit_breaking() -> Any:
    most = wrappers_pb2.UInt32Value(value=UNLIMITED)
    return circuit_breaker_pb2.CircuitBreakers(
        thresholds=[
            circuit_breaker_pb2.CircuitBreakers.Thresholds(
                max_connections=most, max_pending_requests=most, max_requests=most, max_retries=most
            )
        ]
    )


def _keepalive() -> Any:
    """A replica that vanished without closing its connections is noticed after a minute."""
    return cluster_pb2.UpstreamConnectionOptions(
        tcp_keepalive=address_pb2.TcpKeepalive(
            keepalive_probes={"value": 3}, keepalive_time={"value": 30}, keepalive_interval={"value": 10}
        )
    )


def http1_options(idle_seconds: float = IDLE_SECONDS) -> Any:
    return _http_options(
        idle_seconds,
        http_protocol_options=protocol_pb2.Http1ProtocolOptions(enable_trailers=True),
    )


def _http2_options(idle_seconds: float) -> Any:
    return _http_options(
        idle_seconds,
        http2_protocol_options=protocol_pb2.Http2ProtocolOptions(
            initial_stream_window_size={"value": 1024 * 1024},
            initial_connection_window_size={"value": 4 * 1024 * 1024},
        ),
    )


def _http_options(idle_seconds: float, **explicit: Any) -> Any:
    return http_protocol_options_pb2.HttpProtocolOptions(
        common_http_protocol_options=protocol_pb2.HttpProtocolOptions(
            idle_timeout=duration(idle_seconds),
            max_headers_count={"value": HEADER_COUNT},
            max_response_headers_kb={"value": HEADER_LIMIT_KB},
        ),
        explicit_http_config=http_protocol_options_pb2.HttpProtocolOptions.ExplicitHttpConfig(**explicit),
    )


def _endpoints(backends: list[Backend]) -> bytes:
    """A serialised ClusterLoadAssignment without its name.

    Where all drain no route leads any more, but Envoy has the endpoints before it has those routes, and requests that
    come in between must find somebody."""
    all_drain = all(each.draining for each in backends)
    places = [_endpoint(each, takes_requests=all_drain or not each.draining) for each in backends]
    everywhere = endpoint_components_pb2.LocalityLbEndpoints(lb_endpoints=places)
    return wire.serialized(endpoint_pb2.ClusterLoadAssignment(endpoints=[everywhere]))


def _endpoint(backend: Backend, *, takes_requests: bool) -> Any:
    return endpoint_components_pb2.LbEndpoint(
        endpoint=endpoint_components_pb2.Endpoint(address=socket_address(backend.address, backend.port)),
        health_status=health_check_pb2.HEALTHY if takes_requests else health_check_pb2.DRAINING,
    )


def socket_address(address: str, port: int) -> Any:
    return address_pb2.Address(socket_address=address_pb2.SocketAddress(address=address, port_value=port))


def from_ads() -> Any:
    """The resource comes over the one stream on which everything comes, so that order is kept."""
    return config_source_pb2.ConfigSource(
        ads=config_source_pb2.AggregatedConfigSource(), resource_api_version=config_source_pb2.V3
    )


def duration(seconds: float) -> Any:
    whole = int(seconds)
    return duration_pb2.Duration(seconds=whole, nanos=round((seconds - whole) * 1e9))
