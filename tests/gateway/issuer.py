"""An issuer of tokens, with keys of its own."""

import json
import time
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from roost_server.domain.route import Guard, JwtCheck

URL = "https://issuer.example"
AUDIENCE = "agents"


@cache
def private_key(algorithm: str, which: int = 0) -> Any:
    """Of the kind that the algorithm wants; another `which` is another key."""
    curves = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}
    if algorithm in curves:
        return ec.generate_private_key(curves[algorithm]())
    return ed25519.Ed25519PrivateKey.generate() if algorithm == "EdDSA" else rsa.generate_private_key(65537, 2048)


def public_key(algorithm: str = "ES256", which: int = 0, **more: Any) -> dict[str, Any]:
    """As a JWK."""
    kinds = {"E": ECAlgorithm, "R": RSAAlgorithm, "P": RSAAlgorithm}
    kind = OKPAlgorithm if algorithm == "EdDSA" else kinds[algorithm[0]]
    made: dict[str, Any] = kind.to_jwk(private_key(algorithm, which).public_key(), as_dict=True)
    return {**made, "kid": f"{algorithm}-{which}", "alg": algorithm, "use": "sig", **more}


def key_set(*keys: dict[str, Any]) -> str:
    return json.dumps({"keys": keys or [public_key()]})


def token(algorithm: str = "ES256", which: int = 0, *, expires_in: float = 3600, **claims: Any) -> str:
    """A good token unless told otherwise; a claim that is None is left out."""
    said = {"iss": URL, "aud": AUDIENCE, "sub": "user-1", "exp": int(time.time() + expires_in), **claims}
    payload = {name: value for name, value in said.items() if value is not None}
    headers = {"kid": f"{algorithm}-{which}"}
    return jwt.encode(payload, private_key(algorithm, which), algorithm=algorithm, headers=headers)


def bearer(*arguments: Any, **claims: Any) -> dict[str, str]:
    """The header that carries `token(…)`."""
    return {"authorization": f"Bearer {token(*arguments, **claims)}"}


def check(**more: Any) -> JwtCheck:
    """What accepts `token()`."""
    return JwtCheck(**{"issuer": URL, "keys": key_set(), "audiences": (AUDIENCE,), **more})


def guarded(*, drops_authorization: bool = False, **more: Any) -> Guard:
    """A guard with `check(…)`."""
    return Guard(jwt=check(**more), drops_authorization=drops_authorization)
