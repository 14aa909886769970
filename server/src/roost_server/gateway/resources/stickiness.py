"""Sessions that stay with a version: Envoy's Lua filter, idle but for the virtual hosts that ask for it.

Such a virtual host tells the script the endpoint, the weights and who keeps sessions; the script answers with a header
by which the virtual host's rules choose. What the script does is told in `sticky.lua`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.filters.http.lua.v3 import lua_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm

from roost_server.domain.route import Pool
from roost_server.gateway.resources import clusters, wire
from roost_server.gateway.sessions import told

FILTER = "envoy.filters.http.lua"
SCRIPT = Path(__file__).with_name("sticky.lua")


def http_filter() -> Any:
    """Disabled: a request to any other virtual host does not pass it."""
    made = hcm.HttpFilter(name=FILTER, disabled=True)
    made.typed_config.Pack(
        lua_pb2.Lua(
            default_source_code=base_pb2.DataSource(inline_string=SCRIPT.read_text()),
            clear_route_cache={"value": False},
        ),
        deterministic=True,
    )
    return made


def enabled(route_id: str, serving: Sequence[Pool]) -> bytes:
    """Fields of a virtual host, serialised, that send its requests through the script."""
    weights, keeps = told(
        {pool.version: pool.weight for pool in serving if pool.weight},
        {pool.version for pool in serving if pool.keeps_sessions},
    )
    config = lua_pb2.LuaPerRoute()
    config.filter_context.update({"endpoint": clusters.endpoint_of(route_id), "weights": weights, "keeps": keeps})
    host = route_components_pb2.VirtualHost()
    host.typed_per_filter_config[FILTER].Pack(config, deterministic=True)
    return wire.serialized(host)
