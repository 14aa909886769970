"""Sessions that stay with a version: Envoy's Lua filter, for virtual hosts that have a version to serve.

Such a virtual host tells the script the endpoint, the weights and who keeps sessions; the script answers with a header
by which the virtual host's rules choose. What the script does is told in `sticky.lua`.

A request that names neither a session nor a version is no matter for the script: Envoy's matcher spares it, because to
run the script only to find that out would cost a tenth of the requests that a worker can pass on.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.common.matching.v3 import extension_matcher_pb2
from envoy.extensions.filters.common.matcher.action.v3 import skip_action_pb2
from envoy.extensions.filters.http.lua.v3 import lua_pb2
from envoy.type.matcher.v3 import http_inputs_pb2
from xds.type.matcher.v3 import matcher_pb2

from roost_server.domain.route import Pool
from roost_server.gateway.resources import clusters, extensions, headers, wire
from roost_server.gateway.sessions import told

FILTER = "envoy.filters.http.lua"
SCRIPT = Path(__file__).with_name("sticky.lua")


def http_filter(patience_seconds: float) -> Any:
    """`patience_seconds` is how long a request waits for the server's answer. Disabled unless the virtual host turns it
    on, which it does with a `LuaPerRoute` under the same name: the matcher leaves that to the filter that it wraps."""
    patience = f"local PATIENCE_MS = {round(patience_seconds * 1000)}\n"
    script = lua_pb2.Lua(
        default_source_code=base_pb2.DataSource(inline_string=patience + SCRIPT.read_text()),
        clear_route_cache={"value": False},
    )
    matching = extension_matcher_pb2.ExtensionWithMatcher()
    matching.extension_config.name = FILTER
    matching.extension_config.typed_config.Pack(script, deterministic=True)
    matching.xds_matcher.CopyFrom(_skip_unless_named())
    return extensions.inline(FILTER, matching)


def _skip_unless_named() -> Any:
    """Skips the script when none of its headers is there."""
    skip = matcher_pb2.Matcher()
    named = skip.matcher_list.matchers.add()
    named.predicate.not_matcher.or_matcher.predicate.extend(
        _is_there(name) for name in (*headers.SESSION, headers.VERSION)
    )
    named.on_match.action.name = "skip"
    named.on_match.action.typed_config.Pack(skip_action_pb2.SkipFilter())
    return skip


def _is_there(name: str) -> Any:
    """A header that is not there has no value, which no pattern matches."""
    predicate = matcher_pb2.Matcher.MatcherList.Predicate()
    single = predicate.single_predicate
    single.input.name = name
    single.input.typed_config.Pack(http_inputs_pb2.HttpRequestHeaderMatchInput(header_name=name))
    single.value_match.safe_regex.regex = ".*"
    single.value_match.safe_regex.google_re2.SetInParent()
    return predicate


def enabled(route_id: str, serving: Sequence[Pool]) -> bytes:
    """Fields of a virtual host, serialised, that send its requests through the script."""
    weights, keeps = told(
        {pool.version: pool.weight for pool in serving if pool.weight},
        {pool.version for pool in serving if pool.keeps_sessions},
    )
    config = lua_pb2.LuaPerRoute()
    config.filter_context.update({"pools": f"{clusters.endpoint_of(route_id)};{weights};{keeps}"})
    host = route_components_pb2.VirtualHost()
    host.typed_per_filter_config[FILTER].Pack(config, deterministic=True)
    return wire.serialized(host)
