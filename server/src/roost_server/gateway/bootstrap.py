"""What Envoy is told when it starts: who it is, where its admin socket is, and where everything else comes from."""

import resource
from typing import Any

from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import address_pb2, base_pb2, config_source_pb2, grpc_service_pb2, protocol_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from envoy.config.metrics.v3 import stats_pb2
from envoy.config.overload.v3 import overload_pb2
from envoy.extensions.resource_monitors.downstream_connections.v3 import downstream_connections_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from envoy.type.matcher.v3 import string_pb2
from google.protobuf import json_format

from roost_server.gateway.resources.clusters import HTTP_OPTIONS, duration, from_ads, http1_options
from roost_server.gateway.settings import GatewaySettings

XDS_CLUSTER = "roost_xds"
SESSIONS_CLUSTER = "roost_sessions"
"""As `sticky.lua` calls it."""

RESERVED_FILES = 1000
"""Descriptors kept for Envoy itself; of the rest every request takes two, one to each side."""


KEPT_PREFIXES = ("http.", "server.", "listener.", "listener_manager.", "cluster_manager.", "control_plane.")
KEPT_OF_CLUSTERS = (
    "upstream_rq_active",
    "upstream_rq_total",
    "upstream_rq_completed",
    "upstream_rq_2xx",
    "upstream_rq_3xx",
    "upstream_rq_4xx",
    "upstream_rq_5xx",
    "upstream_rq_time",
    "upstream_cx_connect_fail",
)


def bootstrap(settings: GatewaySettings) -> str:
    """Envoy's bootstrap as JSON. The same settings give the same text."""
    message = bootstrap_pb2.Bootstrap(
        node=base_pb2.Node(id="roost-gateway", cluster="roost"),
        admin=bootstrap_pb2.Admin(address=_pipe(str(settings.admin_socket))),
        static_resources=bootstrap_pb2.Bootstrap.StaticResources(
            clusters=[
                _cluster(XDS_CLUSTER, str(settings.xds_socket), _http2()),
                _cluster(SESSIONS_CLUSTER, str(settings.sessions_socket), http1_options()),
            ]
        ),
        dynamic_resources=_dynamic_resources(),
        cluster_manager=bootstrap_pb2.ClusterManager(enable_deferred_cluster_creation=True),
        deferred_stat_options=bootstrap_pb2.Bootstrap.DeferredStatOptions(enable_deferred_creation_stats=True),
        stats_config=_statistics(),
        stats_flush_on_admin=True,
        overload_manager=_connection_limit(),
    )
    return str(json_format.MessageToJson(message, preserving_proto_field_name=True))


def _statistics() -> Any:
    """Only what is looked at: a cluster's full set would cost 40 KiB a route. The pattern leaves out what Envoy counts
    once more by the caller's zone or place (`external.upstream_rq_time`)."""
    of_clusters = rf"cluster\.[^.]+\.(?:{'|'.join(KEPT_OF_CLUSTERS)})"
    patterns = [
        *(string_pb2.StringMatcher(prefix=prefix) for prefix in KEPT_PREFIXES),
        string_pb2.StringMatcher(safe_regex={"regex": of_clusters}),
    ]
    return stats_pb2.StatsConfig(
        stats_matcher=stats_pb2.StatsMatcher(inclusion_list=string_pb2.ListStringMatcher(patterns=patterns))
    )


def _pipe(path: str) -> Any:
    return address_pb2.Address(pipe=address_pb2.Pipe(path=path, mode=0o600))


def _cluster(name: str, path: str, options: Any) -> Any:
    """The server, on one of its sockets."""
    endpoint = endpoint_components_pb2.Endpoint(address=address_pb2.Address(pipe=address_pb2.Pipe(path=path)))
    cluster = cluster_pb2.Cluster(
        name=name,
        type=cluster_pb2.Cluster.STATIC,
        connect_timeout=duration(1),
        load_assignment=endpoint_pb2.ClusterLoadAssignment(
            cluster_name=name,
            endpoints=[
                endpoint_components_pb2.LocalityLbEndpoints(
                    lb_endpoints=[endpoint_components_pb2.LbEndpoint(endpoint=endpoint)]
                )
            ],
        ),
    )
    cluster.typed_extension_protocol_options[HTTP_OPTIONS].Pack(options)
    return cluster


def _http2() -> Any:
    return http_protocol_options_pb2.HttpProtocolOptions(
        explicit_http_config=http_protocol_options_pb2.HttpProtocolOptions.ExplicitHttpConfig(
            http2_protocol_options=protocol_pb2.Http2ProtocolOptions()
        )
    )


def _dynamic_resources() -> Any:
    """Only what changed is sent. A server that is being restarted is looked for often."""
    service = grpc_service_pb2.GrpcService(
        envoy_grpc=grpc_service_pb2.GrpcService.EnvoyGrpc(
            cluster_name=XDS_CLUSTER,
            retry_policy=base_pb2.RetryPolicy(
                retry_back_off={"base_interval": duration(0.05), "max_interval": duration(0.5)}
            ),
        )
    )
    return bootstrap_pb2.Bootstrap.DynamicResources(
        ads_config=config_source_pb2.ApiConfigSource(
            api_type=config_source_pb2.ApiConfigSource.DELTA_GRPC,
            transport_api_version=config_source_pb2.V3,
            grpc_services=[service],
            set_node_on_first_message_only=True,
        ),
        cds_config=from_ads(),
        lds_config=from_ads(),
    )


def _connection_limit() -> Any:
    """Refuses connections before descriptors run out, which Envoy would not survive gracefully."""
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    monitor = overload_pb2.ResourceMonitor(name="envoy.resource_monitors.global_downstream_max_connections")
    monitor.typed_config.Pack(
        downstream_connections_pb2.DownstreamConnectionsConfig(
            max_active_downstream_connections=max(RESERVED_FILES, (files - RESERVED_FILES) // 2)
        )
    )
    return overload_pb2.OverloadManager(resource_monitors=[monitor])
