"""Signing: JSON Web Tokens (RFC 7519, ES256) under the installation's key, and reading those that it made."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from roost_server.domain import errors
from roost_server.domain.ids import new_id
from roost_server.store import signing_keys
from roost_server.store.cipher import Cipher
from roost_server.store.signing_keys import Jwk, SigningKey
from roost_server.store.store import Tx

ALGORITHM = "ES256"
ACCESS_TOKEN, ENDPOINT_TOKEN = "at+jwt", "JWT"
"""The header's `typ` (RFC 9068 for access tokens)."""

_REQUIRED = ["iss", "sub", "aud", "exp", "iat", "sid"]


async def ensure_key(tx: Tx, cipher: Cipher) -> None:
    """The installation's key, made if there is none. Within a transaction that lets one server at a time look."""
    if not await signing_keys.published(tx):
        key, public = make_key()
        await signing_keys.insert(tx, key, public, cipher)


def make_key() -> tuple[SigningKey, Jwk]:
    """A new key and its public JWK (RFC 7517)."""
    private, key_id = ec.generate_private_key(ec.SECP256R1()), new_id()
    text = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
    return SigningKey(key_id, text.decode()), {**public, "kid": key_id, "use": "sig", "alg": ALGORITHM}


@lru_cache(maxsize=4)
def _private(text: str) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(text.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


async def sign(tx: Tx, cipher: Cipher, claims: Mapping[str, Any], kind: str) -> str:
    """The token with these claims and `iss`. `kind` is ACCESS_TOKEN or ENDPOINT_TOKEN."""
    key = await signing_keys.newest(tx, cipher)
    assert key is not None
    told = {"iss": await issuer(tx), **claims}
    return jwt.encode(told, _private(key.private), ALGORITHM, headers={"kid": key.id, "typ": kind})


async def issuer(tx: Tx) -> str:
    return signing_keys.issuer_of(await signing_keys.published(tx))


def read_access_token(token: str, keys: Sequence[Jwk]) -> dict[str, Any] | None:
    """The claims of an access token that one of these keys signed; None for what is no such token.

    Raises `Unauthenticated` when it is one that has expired."""
    by_id = {key["kid"]: key for key in keys}
    try:
        header = jwt.get_unverified_header(token)
        if header.get("typ") != ACCESS_TOKEN or header.get("kid") not in by_id:
            return None
        name = signing_keys.issuer_of(keys)
        # Another server's clock may be ahead: what says when it was issued is no condition.
        options: Any = {"require": _REQUIRED, "verify_iat": False}
        key = jwt.PyJWK.from_dict(dict(by_id[header["kid"]]), ALGORITHM)
        return jwt.decode(token, key, [ALGORITHM], options=options, audience=name, issuer=name)
    except jwt.ExpiredSignatureError:
        raise errors.Unauthenticated("cannot authenticate: the access token has expired; get a new one") from None
    except jwt.InvalidTokenError:
        return None
