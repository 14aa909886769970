"""Guards: who may pass, as HTTP filters of Envoy that a route's virtual host turns on. Nothing is asked of the server,
so they hold while it is away; a route without a guard passes none of them.

The order, and why:

1. addresses: nobody outside the allowed ranges learns anything, or costs a signature's check;
2. tokens, then 3. claims: whoever has no good token is sent away before the rate limit counts the request, because
   otherwise anybody could use up what belongs to those who have one. Refusing costs the gateway little (a request
   without a token almost nothing) and the agent nothing;
4. the rate limit, which protects the agent: it counts what would reach it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from envoy.config.route.v3 import route_components_pb2

from roost_server.domain.access import RateLimit
from roost_server.domain.route import Guard, Refusal, Unavailable
from roost_server.gateway.resources import addresses, claims, headers, limits, tokens, wire
from roost_server.gateway.resources.wire import Resource

NO_KEY = (
    "cannot check tokens for this endpoint: its key set has no key that can be used (RSA of 2048 bits or more, "
    "P-256, P-384, P-521 or Ed25519, for signatures); correct access.jwt"
)
NOT_CHECKABLE = "cannot check callers of this endpoint: {}; correct its access"
RETRY_SECONDS = 5


@dataclass(frozen=True)
class BuiltGuard:
    """What a guard becomes: serialised `fields` of the virtual host, the provider (name, message) that they name, its
    bucket, and what is answered instead of leading anywhere."""

    fields: bytes = b""
    provider: tuple[str, Any] | None = None
    limit: RateLimit | None = None
    closed: Unavailable | None = None


def http_filters() -> list[Any]:
    """In the order in which a request passes them."""
    return [addresses.http_filter(), tokens.http_filter(), claims.http_filter(), limits.http_filter()]


def build(guard: Guard) -> BuiltGuard:
    """A guard that cannot be checked lets nobody in, and says why; that is no reason to refuse other routes."""
    try:
        return _build(guard)
    except (ValueError, ArithmeticError) as error:
        return BuiltGuard(closed=_closed(NOT_CHECKABLE.format(error)))


def _build(guard: Guard) -> BuiltGuard:
    provider = tokens.provider(guard.jwt) if guard.jwt else None
    closed = guard.closed or (NO_KEY if guard.jwt and provider is None else None)
    host = route_components_pb2.VirtualHost()
    if guard.allowed_cidrs:
        _turn_on(host, addresses.FILTER, addresses.per_route(guard.allowed_cidrs))
    if guard.jwt and provider and not closed:
        _turn_on(host, tokens.FILTER, tokens.per_route(provider[0]))
        _turn_on(host, claims.FILTER, claims.per_route(guard.jwt))
        host.request_headers_to_remove.extend(headers.USER_ALIKE)
    if guard.drops_authorization:
        host.request_headers_to_remove.append(tokens.HEADER)
    if guard.rate_limit:
        _turn_on(host, limits.FILTER, limits.per_route())
        host.metadata.CopyFrom(limits.metadata(guard.rate_limit))
    used = None if closed else provider
    return BuiltGuard(wire.serialized(host), used, guard.rate_limit, _closed(closed) if closed else None)


def _turn_on(host: Any, name: str, configuration: Any) -> None:
    host.typed_per_filter_config[name].Pack(configuration, deterministic=True)


def _closed(message: str) -> Unavailable:
    return Unavailable(Refusal.KEYS_UNAVAILABLE, message, RETRY_SECONDS)


class Filters:
    """The configurations of the filters that change at run time.

    Providers that routes named before stay until Envoy has confirmed the routes that name others: a request in between
    finds either the old guard or the new one, whole.
    """

    def __init__(self) -> None:
        self._named: dict[str, Any] = {}
        self._kept: dict[str, Any] = {}
        self._content: tuple[set[str], dict[str, RateLimit]] | None = None
        self._resources: dict[str, Resource] = {}

    def build(self, guards: Iterable[tuple[str, BuiltGuard]]) -> Mapping[str, Resource]:
        """The resources by name, for route ids and their guards; the same object while nothing changed."""
        known = list(guards)
        self._named = dict(guard.provider for _, guard in known if guard.provider)
        self._kept = self._kept | self._named
        content = (set(self._kept), {route_id: guard.limit for route_id, guard in known if guard.limit})
        if content != self._content:
            self._content = content
            self._resources = _by_name(tokens.configuration(self._kept), limits.configuration(content[1]))
        return self._resources

    def confirmed(self) -> None:
        """Envoy has the routes of the last build: only what those name is still needed."""
        self._kept = self._named


def _by_name(*resources: Resource) -> dict[str, Resource]:
    return {each.name: each for each in resources}
