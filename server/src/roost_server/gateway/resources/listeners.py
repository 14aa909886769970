"""The two listeners, plain and TLS, which share one HTTP connection manager and its routes.

The gateway is transparent: paths, header names and the Host header reach the agent as they came, bodies stream
in both directions, and nothing but silence ends a stream.
"""

from collections.abc import Sequence
from typing import Any

from envoy.config.core.v3 import address_pb2, protocol_pb2, socket_option_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm
from envoy.extensions.request_id.uuid.v3 import uuid_pb2

from roost_server.gateway.resources import guard_replies, guards, replies, stickiness, tracing, virtual_hosts, wire
from roost_server.gateway.resources.clusters import HEADER_COUNT, HEADER_LIMIT_KB, duration, from_ads
from roost_server.gateway.resources.wire import Resource
from roost_server.gateway.settings import GatewaySettings

LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener"
ANY_ADDRESS = {"0.0.0.0", "::"}
KEEPALIVE_IDLE_SECONDS = 60

SO_KEEPALIVE, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT = (1, 9), (6, 4), (6, 5), (6, 6)
"""Level and name as in Linux' headers: a client that vanished does not hold its stream for ever."""


def listeners(settings: GatewaySettings, tls: Any) -> list[Resource]:
    """`tls` is the DownstreamTlsContext that says where certificates come from."""
    manager = _filter(_manager(settings))
    plain = listener_components_pb2.FilterChain(filters=[manager])
    encrypted = listener_components_pb2.FilterChain(filters=[manager], transport_socket=_tls(tls))
    return [
        _listener("http", settings.http_host, settings.http_port, plain),
        _listener("https", settings.http_host, settings.https_port, encrypted),
    ]


def _listener(name: str, host: str, port: int, chain: Any) -> Resource:
    listener = listener_pb2.Listener(
        name=name,
        address=address_pb2.Address(socket_address=_address(host, port)),
        filter_chains=[chain],
        socket_options=_keepalive(),
    )
    return Resource.of(LISTENER, name, wire.serialized(listener))


def _address(host: str, port: int) -> Any:
    return address_pb2.SocketAddress(address=host, port_value=port, ipv4_compat=host == "::")


def _keepalive() -> Sequence[Any]:
    wanted = ((SO_KEEPALIVE, 1), (TCP_KEEPIDLE, KEEPALIVE_IDLE_SECONDS), (TCP_KEEPINTVL, 15), (TCP_KEEPCNT, 4))
    return [
        socket_option_pb2.SocketOption(
            level=level, name=name, int_value=value, state=socket_option_pb2.SocketOption.STATE_LISTENING
        )
        for (level, name), value in wanted
    ]


def _tls(context: Any) -> Any:
    socket = listener_components_pb2.FilterChain().transport_socket
    socket.name = "envoy.transport_sockets.tls"
    socket.typed_config.Pack(context, deterministic=True)
    return socket


def _filter(manager: Any) -> Any:
    made = listener_components_pb2.Filter(name="envoy.filters.network.http_connection_manager")
    made.typed_config.Pack(manager, deterministic=True)
    return made


def _manager(settings: GatewaySettings) -> Any:
    return hcm.HttpConnectionManager(
        stat_prefix="gateway",
        codec_type=hcm.HttpConnectionManager.AUTO,
        rds=hcm.Rds(config_source=from_ads(), route_config_name=virtual_hosts.ROUTES_NAME),
        http_filters=[*guards.http_filters(), stickiness.http_filter(settings.session_patience_seconds), _router()],
        local_reply_config=replies.local_replies(guard_replies.BY_DETAILS),
        upgrade_configs=[hcm.HttpConnectionManager.UpgradeConfig(upgrade_type="websocket")],
        stream_idle_timeout=duration(settings.stream_idle_seconds),
        request_timeout=duration(0),
        request_headers_timeout=duration(60),
        **_transparency(),
        **_protocols(),
        **_identity(),
        **tracing.manager(settings.otlp_endpoint),
    )


def _transparency() -> dict[str, Any]:
    return {
        "normalize_path": {"value": False},
        "merge_slashes": False,
        "path_with_escaped_slashes_action": hcm.HttpConnectionManager.KEEP_UNCHANGED,
        "server_header_transformation": hcm.HttpConnectionManager.PASS_THROUGH,
        "proxy_100_continue": True,
    }


def _protocols() -> dict[str, Any]:
    return {
        "max_request_headers_kb": {"value": HEADER_LIMIT_KB},
        "common_http_protocol_options": protocol_pb2.HttpProtocolOptions(
            max_headers_count={"value": HEADER_COUNT},
            headers_with_underscores_action=protocol_pb2.HttpProtocolOptions.ALLOW,
        ),
        "http_protocol_options": protocol_pb2.Http1ProtocolOptions(accept_http_10=True, enable_trailers=True),
        "http2_protocol_options": protocol_pb2.Http2ProtocolOptions(
            allow_connect=True,
            max_concurrent_streams={"value": 1000},
            initial_stream_window_size={"value": 1024 * 1024},
            initial_connection_window_size={"value": 4 * 1024 * 1024},
        ),
    }


_NOT_FOR_TRACES = {"pack_trace_reason": {"value": False}, "use_request_id_for_trace_sampling": {"value": False}}
"""A client may send any request id, so none says whether a request is traced."""


def _identity() -> dict[str, Any]:
    """A request id that the client sends is kept. Envoy's own headers (`x-envoy-…`) are believed of nobody: that is
    so as long as `internal_address_config` is left out. The routes append to X-Forwarded-For, because Envoy itself
    would write the host's address instead of a loopback client's."""
    request_id = hcm.RequestIDExtension()
    request_id.typed_config.Pack(uuid_pb2.UuidRequestIdConfig(**_NOT_FOR_TRACES))
    return {
        "use_remote_address": {"value": True},
        "skip_xff_append": True,
        "preserve_external_request_id": True,
        "request_id_extension": request_id,
    }


def _router() -> Any:
    made = hcm.HttpFilter(name="envoy.filters.http.router")
    made.typed_config.Pack(router_pb2.Router(suppress_envoy_headers=True))
    return made
