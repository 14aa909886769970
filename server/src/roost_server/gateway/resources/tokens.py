"""Tokens: whose signatures the gateway accepts, as providers of Envoy's `jwt_authn` filter.

A provider is named by its content. A change of keys or issuer is therefore a new provider beside the old one, to
which a route moves together with all else that its guard says. Audiences and claims are not the provider's business
(`claims.py`): all endpoints whose tokens Roost itself signs share one.
"""

import functools
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.extensions.filters.http.jwt_authn.v3 import config_pb2

from roost_server.domain.route import JwtCheck
from roost_server.gateway.resources import extensions, headers, keys
from roost_server.gateway.resources.wire import Resource

FILTER = "envoy.filters.http.jwt_authn"
"""Also the name under which the filter leaves what the token says, for the filters after it."""

PAYLOAD = "payload"
HEADER = "authorization"
PREFIXES = ("Bearer ", "bearer ")
CACHED_TOKENS = 500
"""Tokens a worker and provider remembers as verified: a signature costs more than all else that the gateway does with
a request. The times in a token are looked at each time."""


def provider(check: JwtCheck) -> tuple[str, Any] | None:
    """Name and JwtProvider; None when there is no key that could be used."""
    usable = keys.usable(check.keys)
    return None if usable is None else _provider(check.issuer or "", usable, check.user_claim, check.must_expire)


@functools.lru_cache(maxsize=keys.REMEMBERED)
def _provider(issuer: str, usable: str, user_claim: str, must_expire: bool) -> tuple[str, Any]:
    content = json.dumps([issuer, usable, user_claim, must_expire]).encode()
    made = config_pb2.JwtProvider(
        issuer=issuer,
        require_expiration=must_expire,
        local_jwks=base_pb2.DataSource(inline_string=usable),
        forward=True,
        from_headers=[config_pb2.JwtHeader(name=HEADER, value_prefix=prefix) for prefix in PREFIXES],
        payload_in_metadata=PAYLOAD,
        jwt_cache_config=config_pb2.JwtCacheConfig(jwt_cache_size=CACHED_TOKENS),
        claim_to_headers=[
            config_pb2.JwtClaimToHeader(header_name=header, claim_name=user_claim) for header in headers.USER
        ],
    )
    return hashlib.blake2b(content, digest_size=12).hexdigest(), made


def per_route(provider_name: str) -> Any:
    """What turns the filter on for a virtual host."""
    return config_pb2.PerRouteConfig(requirement_name=provider_name)


def http_filter() -> Any:
    return extensions.discovered(FILTER, config_pb2.JwtAuthentication())


def configuration(providers: Mapping[str, Any]) -> Resource:
    """All providers, each of which is a requirement of its name."""
    made = config_pb2.JwtAuthentication(
        providers=providers,
        requirement_map={name: config_pb2.JwtRequirement(provider_name=name) for name in providers},
    )
    return extensions.resource(FILTER, made)
