"""Tracing: a span for each request, sent to an OpenTelemetry collector over OTLP. Only when one is named.

Envoy takes part in the W3C trace that a caller began (`traceparent`) or begins one, and hands it on to the agent. It
decides nothing about sampling by request ids, which clients may choose; a caller's decision not to sample is kept. What
says whose request it was is metadata of the clusters, so that it costs nothing per route.
"""

from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import address_pb2, base_pb2, grpc_service_pb2, protocol_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from envoy.config.trace.v3 import http_tracer_pb2, opentelemetry_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, tls_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from envoy.type.metadata.v3 import metadata_pb2
from envoy.type.tracing.v3 import custom_tag_pb2
from google.protobuf import struct_pb2

from roost_server.domain.route import Route
from roost_server.gateway.collector import parse
from roost_server.gateway.resources import wire
from roost_server.gateway.resources.clusters import CLUSTER, HTTP_OPTIONS, duration, endpoint_of
from roost_server.gateway.resources.wire import Resource

COLLECTOR = "roost_otlp"
SERVICE = "roost-gateway"
SPACE = "roost"
TAGS = ("workspace", "runtime", "endpoint", "version")
METADATA = 25
"""Field number: Cluster.metadata."""

HOST_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


def manager(endpoint: str | None) -> dict[str, Any]:
    """What the HTTP connection manager is told; nothing without a collector."""
    if endpoint is None:
        return {}
    service = grpc_service_pb2.GrpcService(
        envoy_grpc=grpc_service_pb2.GrpcService.EnvoyGrpc(cluster_name=COLLECTOR), timeout=duration(5)
    )
    provider = http_tracer_pb2.Tracing.Http(name="envoy.tracers.opentelemetry")
    provider.typed_config.Pack(
        opentelemetry_pb2.OpenTelemetryConfig(grpc_service=service, service_name=SERVICE), deterministic=True
    )
    tags = [_tag(name) for name in TAGS]
    return {"tracing": hcm.HttpConnectionManager.Tracing(provider=provider, custom_tags=tags)}


def _tag(name: str) -> Any:
    steps = [metadata_pb2.MetadataKey.PathSegment(key=name)]
    return custom_tag_pb2.CustomTag(
        tag=f"{SPACE}.{name}",
        metadata=custom_tag_pb2.CustomTag.Metadata(
            kind=metadata_pb2.MetadataKind(cluster=metadata_pb2.MetadataKind.Cluster()),
            metadata_key=metadata_pb2.MetadataKey(key=SPACE, path=steps),
        ),
    )


def metadata(endpoint: str | None, route: Route, version: int) -> bytes:
    """What spans are to tell of a version's clusters, as a serialised field of them; nothing without a collector."""
    if endpoint is None:
        return b""
    names = struct_pb2.Struct()
    values = (route.workspace, route.runtime, endpoint_of(route.id), str(version))
    names.update(dict(zip(TAGS, values, strict=True)))
    return wire.field(METADATA, wire.serialized(base_pb2.Metadata(filter_metadata={SPACE: names})))


def collector(endpoint: str | None) -> list[Resource]:
    """The cluster that spans go to."""
    if endpoint is None:
        return []
    to = parse(endpoint)
    place = endpoint_components_pb2.Endpoint(
        address=address_pb2.Address(socket_address=address_pb2.SocketAddress(address=to.host, port_value=to.port))
    )
    cluster = cluster_pb2.Cluster(
        name=COLLECTOR,
        type=cluster_pb2.Cluster.STRICT_DNS,
        connect_timeout=duration(2),
        load_assignment=endpoint_pb2.ClusterLoadAssignment(
            cluster_name=COLLECTOR,
            endpoints=[
                endpoint_components_pb2.LocalityLbEndpoints(
                    lb_endpoints=[endpoint_components_pb2.LbEndpoint(endpoint=place)]
                )
            ],
        ),
    )
    cluster.typed_extension_protocol_options[HTTP_OPTIONS].Pack(_http2(), deterministic=True)
    if to.tls:
        cluster.transport_socket.name = "envoy.transport_sockets.tls"
        cluster.transport_socket.typed_config.Pack(_tls(to.host), deterministic=True)
    return [Resource.of(CLUSTER, COLLECTOR, wire.serialized(cluster))]


def _http2() -> Any:
    return http_protocol_options_pb2.HttpProtocolOptions(
        explicit_http_config=http_protocol_options_pb2.HttpProtocolOptions.ExplicitHttpConfig(
            http2_protocol_options=protocol_pb2.Http2ProtocolOptions()
        )
    )


def _tls(host: str) -> Any:
    """Its certificate must be the host's, by an authority that this machine trusts."""
    trusted = common_pb2.CertificateValidationContext(trusted_ca=base_pb2.DataSource(filename=HOST_BUNDLE))
    return tls_pb2.UpstreamTlsContext(
        sni=host,
        auto_sni_san_validation=True,
        common_tls_context=common_pb2.CommonTlsContext(validation_context=trusted),
    )
