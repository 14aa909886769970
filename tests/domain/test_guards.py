"""From access to guards, as tables."""

import json
from typing import Any

import pytest
from roost_server.domain.access import Access, Jwt, RateLimit
from roost_server.domain.guards import NO_KEYS_YET, NOBODY, guard_of
from roost_server.domain.route import OPEN, Guard, JwtCheck

KEYS = {"keys": [{"kid": "theirs", "kty": "OKP"}]}
OWN_KEYS = json.dumps({"keys": [{"kty": "OKP", "kid": "ours"}]})
ISSUER = "https://issuer.example"
DISCOVERED = f"{ISSUER}/.well-known/openid-configuration"
LIMIT = RateLimit(10, 60)


def guard(access: Access, *accepted: str, fetched: dict[str, str | None] | None = None) -> Guard:
    return guard_of(
        access,
        endpoint_id="endpoint",
        runtime_id="runtime",
        own_keys=OWN_KEYS,
        own_issuer="roost",
        accepted_ids=accepted,
        fetched=fetched or {},
    )


def test_a_public_endpoint_is_open() -> None:
    assert guard(Access(), "token-1") == OPEN


@pytest.mark.parametrize(
    "access",
    [
        Access(allowed_cidrs=["10.0.0.0/8"], rate_limit=LIMIT),
        Access(mode="token", allowed_cidrs=["10.0.0.0/8"], rate_limit=LIMIT),
        Access(mode="jwt", jwt=Jwt(jwks=KEYS), allowed_cidrs=["10.0.0.0/8"], rate_limit=LIMIT),
        Access(mode="jwt", jwt=Jwt(jwks_uri=ISSUER), allowed_cidrs=["10.0.0.0/8"], rate_limit=LIMIT),
    ],
)
def test_addresses_and_rate_limit_hold_in_every_mode(access: Access) -> None:
    made = guard(access)
    assert (made.allowed_cidrs, made.rate_limit) == (("10.0.0.0/8",), LIMIT)


@pytest.mark.parametrize(("accepted", "ids"), [(("t1", "t2"), ("t1", "t2")), ((), (NOBODY,))])
def test_a_token_must_be_ours_for_this_endpoint_and_accepted(accepted: tuple[str, ...], ids: tuple[str, ...]) -> None:
    check = JwtCheck("roost", OWN_KEYS, ("endpoint", "runtime"), (("sid", ids),), "sub", must_expire=False)
    assert guard(Access(mode="token"), *accepted) == Guard(jwt=check, drops_authorization=True)


@pytest.mark.parametrize(
    ("jwt", "fetched", "keys"),
    [
        (Jwt(jwks=KEYS, issuer=ISSUER), {DISCOVERED: "{}"}, json.dumps(KEYS)),
        (Jwt(jwks_uri="https://keys.example", issuer=ISSUER), {"https://keys.example": "fetched"}, "fetched"),
        (Jwt(issuer=ISSUER), {DISCOVERED: "discovered"}, "discovered"),
        (Jwt(issuer=f"{ISSUER}/"), {DISCOVERED: "discovered"}, "discovered"),
    ],
)
def test_keys_are_those_given_or_those_fetched(jwt: Jwt, fetched: dict[str, str | None], keys: str) -> None:
    made = guard(Access(mode="jwt", jwt=jwt), fetched=fetched)
    assert made == Guard(jwt=JwtCheck(jwt.issuer, keys))


@pytest.mark.parametrize("fetched", [{}, {DISCOVERED: None}, {"https://other.example": "keys"}])
def test_without_keys_the_route_is_closed_and_tells_strangers_no_address(fetched: dict[str, str | None]) -> None:
    made = guard(Access(mode="jwt", jwt=Jwt(issuer=ISSUER)), fetched=fetched)
    assert made == Guard(closed=NO_KEYS_YET)


@pytest.mark.parametrize(
    ("required", "claims"),
    [
        ({}, ()),
        ({"role": "admin"}, (("role", ("admin",)),)),
        ({"role": ["admin", "owner"]}, (("role", ("admin", "owner")),)),
        ({"verified": True, "level": 3}, (("level", (3,)), ("verified", (True,)))),
        ({"org.id": []}, (("org.id", ()),)),
    ],
)
def test_required_claims_become_paths_and_values(required: dict[str, Any], claims: tuple[Any, ...]) -> None:
    jwt = Jwt(jwks=KEYS, audiences=["a", "b"], required_claims=required, user_claim="email")
    made = guard(Access(mode="jwt", jwt=jwt)).jwt
    assert made == JwtCheck(None, json.dumps(KEYS), ("a", "b"), claims, "email")


def test_the_token_of_an_issuer_reaches_the_agent() -> None:
    assert not guard(Access(mode="jwt", jwt=Jwt(jwks=KEYS))).drops_authorization
