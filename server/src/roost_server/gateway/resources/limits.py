"""Rate limits: one bucket a route, shared by all of Envoy's workers.

A bucket holds `requests` and fills evenly, that many in `per_seconds`. All buckets are in one resource and are found by
the name of the virtual host, because Envoy makes everything in a route configuration anew whenever any route changes:
a bucket in there would be full again each time.
"""

import math
from collections.abc import Mapping
from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.common.ratelimit.v3 import ratelimit_pb2
from envoy.extensions.filters.http.local_ratelimit.v3 import local_rate_limit_pb2
from envoy.extensions.rate_limit_descriptors.expr.v3 import expr_pb2
from envoy.type.v3 import token_bucket_pb2

from roost_server.domain.access import RateLimit
from roost_server.gateway.resources import extensions
from roost_server.gateway.resources.clusters import duration
from roost_server.gateway.resources.wire import Resource

FILTER = "roost.rate_limit"
ROUTE = "route"
METADATA, RETRY_AFTER = "roost.rate_limit", "retry_after_seconds"
ALWAYS = base_pb2.RuntimeFractionalPercent(default_value={"numerator": 100})


def per_route() -> Any:
    """What turns the filter on for a virtual host: it is there, and empty."""
    return route_components_pb2.FilterConfig(config={})


def metadata(limit: RateLimit) -> Any:
    """Of a virtual host: when there is room for a request again, for the answer to one too many. Raises `ValueError`
    for a limit that Envoy would refuse."""
    if limit.requests < 1 or limit.per_seconds < 1:
        raise ValueError("its rate limit must be at least one request in at least one second")
    made = base_pb2.Metadata()
    seconds = max(1, math.ceil(limit.per_seconds / limit.requests))
    made.filter_metadata[METADATA].update({RETRY_AFTER: str(seconds)})
    return made


def http_filter() -> Any:
    return extensions.discovered(FILTER, local_rate_limit_pb2.LocalRateLimit())


def configuration(limits: Mapping[str, RateLimit]) -> Resource:
    """The buckets by route id."""
    made = local_rate_limit_pb2.LocalRateLimit(
        stat_prefix="gateway",
        filter_enabled=ALWAYS,
        filter_enforced=ALWAYS,
        always_consume_default_token_bucket={"value": False},
        rate_limited_as_resource_exhausted=True,
        rate_limits=[route_components_pb2.RateLimit(actions=[_by_virtual_host()])],
        descriptors=[_bucket(route_id, limit) for route_id, limit in sorted(limits.items())],
    )
    return extensions.resource(FILTER, made)


def _by_virtual_host() -> Any:
    action = route_components_pb2.RateLimit.Action()
    action.extension.name = "envoy.rate_limit_descriptors.expr"
    action.extension.typed_config.Pack(expr_pb2.Descriptor(descriptor_key=ROUTE, text="xds.virtual_host_name"))
    return action


def _bucket(route_id: str, limit: RateLimit) -> Any:
    return ratelimit_pb2.LocalRateLimitDescriptor(
        entries=[ratelimit_pb2.RateLimitDescriptor.Entry(key=ROUTE, value=route_id)],
        token_bucket=token_bucket_pb2.TokenBucket(
            max_tokens=limit.requests,
            tokens_per_fill={"value": limit.requests},
            fill_interval=duration(limit.per_seconds),
        ),
    )
