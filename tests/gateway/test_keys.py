"""Which keys of a JWK set are handed to Envoy, as tables."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from roost_server.gateway.resources import keys

from gateway.issuer import key_set, public_key

ALGORITHMS = ["RS256", "RS512", "PS384", "ES256", "ES384", "ES512", "EdDSA"]


def number(value: int) -> str:
    """As a JWK has it."""
    return base64.urlsafe_b64encode(value.to_bytes(value.bit_length() // 8 + 1, "big")).decode()


def short_key() -> dict[str, Any]:
    made: dict[str, Any] = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 1024).public_key(), as_dict=True)
    return made


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_of_every_kind_is_usable(algorithm: str) -> None:
    made = keys.usable(key_set(public_key(algorithm)))
    assert made is not None
    sent, kept = public_key(algorithm), json.loads(made)["keys"][0]
    assert kept == {name: sent[name] for name in sent if name not in ("use", "key_ops")}


@pytest.mark.parametrize("left_out", ["kid", "alg", "use"])
def test_names_are_not_demanded(left_out: str) -> None:
    sent = {name: value for name, value in public_key().items() if name != left_out}
    assert keys.usable(key_set(sent)) is not None


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"kty": "weird"},
        {"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"},
        {**public_key(), "use": "enc"},
        {**public_key(), "alg": "ES384"},
        {**public_key(), "alg": "HS256"},
        {**public_key(), "kid": 5},
        {**public_key(), "crv": "P-192"},
        {**public_key(), "crv": "secp256k1"},
        {**public_key(), "x": "AA"},
        {**public_key(), "x": "not base64!"},
        {**public_key(), "x": None},
        {**public_key(), "y": public_key()["x"]},
        {**public_key("RS256"), "alg": "HS256"},
        {**public_key("RS256"), "e": "AA"},
        {**public_key("RS256"), "n": "AQAB"},
        {**public_key("EdDSA"), "crv": "X25519"},
        {**public_key("EdDSA"), "x": "AQAB"},
        {**public_key("RS256"), "e": number(2**33 + 1)},
        {**public_key("RS256"), "n": number(2**2048)},
        {**public_key(), "kid": "\ud800"},
        {**public_key(), "kid": "a\0b"},
        short_key(),
        "no object",
        None,
    ],
)
def test_a_key_that_cannot_be_used_is_left_out(broken: Any) -> None:
    assert keys.usable(key_set(broken)) is None
    assert keys.usable(key_set(broken, public_key())) == keys.usable(key_set(public_key()))


@pytest.mark.parametrize(
    "text", ["", "no JSON", "[]", "5", "null", "{}", '{"keys": 5}', '{"keys": {}}', '{"keys": []}', "[" * 100_000]
)
def test_what_is_no_key_set_has_no_keys(text: str) -> None:
    assert keys.usable(text) is None


def test_private_parts_are_not_passed_on() -> None:
    made = keys.usable(key_set({**public_key(), "d": "secret"}))
    assert made is not None and "secret" not in made
