"""The keys of a JWK set that can be used. Envoy gets these alone, written anew, and is never asked to judge any other.

A key that is broken, too short, meant for encryption or secret (`oct`) is left out, and so is what Envoy would refuse
though others take it: one such key would keep every change of every route away. Of a set without any usable key nothing
is left.
"""

import base64
import functools
import json
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

Key = Mapping[str, Any]

RSA_BITS_MIN, RSA_BITS_MAX = 2048, 8192
RSA_EXPONENT_BITS_MAX = 33
"""As BoringSSL has it, which also wants an odd modulus."""

RSA_ALGORITHMS = frozenset(f"{family}{bits}" for family in ("RS", "PS") for bits in (256, 384, 512))
CURVES: Mapping[str, tuple[Callable[[], ec.EllipticCurve], str]] = {
    "P-256": (ec.SECP256R1, "ES256"),
    "P-384": (ec.SECP384R1, "ES384"),
    "P-521": (ec.SECP521R1, "ES512"),
}
REMEMBERED = 256


@functools.lru_cache(maxsize=REMEMBERED)
def usable(jwks: str) -> str | None:
    """The set without what cannot be used, as JSON in a stable form; None when no key is left."""
    try:
        keys = json.loads(jwks)["keys"]
        found = [made for key in keys if isinstance(key, dict) and (made := _key(key))]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return json.dumps({"keys": found}, sort_keys=True) if found else None


def _key(key: Key) -> dict[str, Any] | None:
    read = {"RSA": _rsa, "EC": _ec, "OKP": _okp}.get(str(key.get("kty")))
    if read is None or key.get("use", "sig") != "sig":
        return None
    named = {name: key[name] for name in ("kid", "alg") if name in key}
    if not all(_is_text(value) for value in named.values()):
        return None
    try:
        found = read(key)
    except (ValueError, TypeError, KeyError):
        return None
    return None if found is None else {"kty": key["kty"], **named, **found}


def _is_text(value: Any) -> bool:
    """Not so half of a surrogate pair, which JSON can spell and Envoy does not read."""
    return isinstance(value, str) and value.isprintable()


def _rsa(key: Key) -> dict[str, Any] | None:
    modulus, exponent = _number(key["n"]), _number(key["e"])
    if not RSA_BITS_MIN <= modulus.bit_length() <= RSA_BITS_MAX or key.get("alg", "RS256") not in RSA_ALGORITHMS:
        return None
    if modulus % 2 == 0 or exponent.bit_length() > RSA_EXPONENT_BITS_MAX:
        return None
    rsa.RSAPublicNumbers(exponent, modulus).public_key()
    return {"n": _text(modulus), "e": _text(exponent)}


def _ec(key: Key) -> dict[str, Any] | None:
    curve, algorithm = CURVES[key["crv"]]
    if key.get("alg", algorithm) != algorithm:
        return None
    x, y = _number(key["x"]), _number(key["y"])
    ec.EllipticCurvePublicNumbers(x, y, curve()).public_key()
    size = (curve().key_size + 7) // 8
    return {"crv": key["crv"], "x": _text(x, size), "y": _text(y, size)}


def _okp(key: Key) -> dict[str, Any] | None:
    if key["crv"] != "Ed25519" or key.get("alg", "EdDSA") != "EdDSA":
        return None
    raw = _bytes(key["x"])
    ed25519.Ed25519PublicKey.from_public_bytes(raw)
    return {"crv": "Ed25519", "x": _encoded(raw)}


def _bytes(text: Any) -> bytes:
    if not isinstance(text, str):
        raise TypeError("numbers of a key are text")
    padded = text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)
    return base64.b64decode(padded, altchars=b"-_", validate=True)


def _number(text: Any) -> int:
    return int.from_bytes(_bytes(text), "big")


def _text(number: int, size: int = 0) -> str:
    return _encoded(number.to_bytes(size or (number.bit_length() + 7) // 8, "big"))


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
