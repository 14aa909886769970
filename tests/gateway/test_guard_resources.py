"""Guards to Envoy's resources: what is shared, what stays and what is not sent again."""

import pytest
from envoy.config.core.v3 import extension_pb2
from envoy.extensions.filters.http.jwt_authn.v3 import config_pb2
from roost_server.domain.access import RateLimit
from roost_server.domain.route import OPEN, Guard, Route, Snapshot
from roost_server.gateway.resources import secrets, tokens
from roost_server.gateway.resources.catalog import Builder
from roost_server.gateway.resources.extensions import EXTENSIONS

from gateway.issuer import guarded, key_set, public_key
from gateway.test_resources import decode, virtual_hosts


@pytest.fixture
def builder(settings) -> Builder:
    return Builder(settings, secrets.one_per_host())


def providers(catalog) -> int:
    extension = decode(catalog[EXTENSIONS][tokens.FILTER], extension_pb2.TypedExtensionConfig())
    filter_config = config_pb2.JwtAuthentication()
    assert extension.typed_config.Unpack(filter_config)
    assert filter_config.providers.keys() == filter_config.requirement_map.keys()
    return len(filter_config.providers)


def guarded_by(guard: Guard, *names: str) -> Snapshot:
    return Snapshot(tuple(Route(name, (f"{name}.localhost",), guard=guard) for name in names))


def test_routes_that_accept_the_same_keys_share_a_provider(builder):
    checks = [guarded(audiences=(name,), claims=(("sid", (name,)),)) for name in ("a", "b")]
    routes = tuple(Route(f"r{n}", (f"{n}.localhost",), guard=guard) for n, guard in enumerate(checks))
    assert providers(builder.build(Snapshot(routes), {})) == 1
    other = Route("other", ("other.localhost",), guard=guarded(issuer=None))
    assert providers(builder.build(Snapshot((*routes, other)), {})) == 2


def test_a_provider_stays_until_no_route_that_envoy_may_have_names_it(builder):
    old, new = guarded(), guarded(keys=key_set(public_key("ES256", 1)))
    counts = [providers(builder.build(guarded_by(guard, "r"), {})) for guard in (old, new)]
    builder.confirmed()
    counts.append(providers(builder.build(guarded_by(new, "r", "s"), {})))
    counts.append(providers(builder.build(guarded_by(OPEN, "r"), {})))
    counts.append(providers(builder.build(guarded_by(new, "r"), {})))
    builder.confirmed()
    builder.build(guarded_by(OPEN, "r"), {})
    builder.confirmed()
    counts.append(providers(builder.build(guarded_by(OPEN, "s"), {})))
    assert counts == [1, 2, 1, 1, 1, 0]


def test_a_route_without_a_guard_turns_no_filter_on_and_changes_no_filter(builder):
    host = virtual_hosts(builder, *guarded_by(OPEN, "r").routes)["r"]
    assert not host.typed_per_filter_config and not host.request_headers_to_remove
    before = builder.build(guarded_by(guarded(), "r"), {})
    builder.confirmed()
    after = builder.build(Snapshot((*guarded_by(guarded(), "r").routes, *guarded_by(OPEN, "s", "t").routes)), {})
    assert before[EXTENSIONS] is after[EXTENSIONS]


def test_another_builder_gives_equal_filters_whatever_the_order_of_routes(builder, settings):
    limit, claims = RateLimit(5), (("role", ("a", True, 3)), ("org.id", ()))
    guards = [guarded(claims=claims), Guard(rate_limit=limit), Guard(rate_limit=limit, allowed_cidrs=("::1/128",))]
    routes = tuple(Route(f"r{n}", (f"{n}.localhost",), guard=guard) for n, guard in enumerate(guards))
    again = Builder(settings, secrets.one_per_host())
    assert builder.build(Snapshot(routes), {}) == again.build(Snapshot(routes), {})
    turned = Builder(settings, secrets.one_per_host()).build(Snapshot(routes[::-1]), {})
    assert builder.build(Snapshot(routes), {})[EXTENSIONS] == turned[EXTENSIONS]
