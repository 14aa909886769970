"""Signing: JSON Web Tokens (RFC 7519, ES256) under the installation's key, and reading those that it made.

Keys take turns. A new one is published for a day before it signs, so that the gateways and whoever else keeps keys have
it; the one before stays published until no token that it signed is good any more. Tokens of endpoints may be good for
ever: they hold the key that signed them.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from roost_server.domain import errors
from roost_server.domain.ids import new_id
from roost_server.store import chores, endpoint_tokens, idempotency, leases, signing_keys
from roost_server.store.cipher import Cipher
from roost_server.store.signing_keys import Jwk, Published, SigningKey, Standing
from roost_server.store.store import Tx

ALGORITHM = "ES256"
ACCESS_TOKEN, ENDPOINT_TOKEN = "at+jwt", "JWT"
"""The header's `typ` (RFC 9068 for access tokens)."""

NEW_KEY_AFTER = timedelta(days=90)
PUBLISHED_BEFORE = timedelta(days=1)
LONGEST_ACCESS_TOKEN = timedelta(days=1)
"""The most that `access_token_seconds` can be."""

CLOCKS = timedelta(hours=1)
"""By how much the clocks of servers may differ."""

_REQUIRED = ["iss", "sub", "aud", "exp", "iat", "sid"]


async def ensure_key(tx: Tx, cipher: Cipher) -> None:
    """The installation's key, made if there is none. Within a transaction that lets one server at a time look."""
    if await signing_keys.published(tx) is None:
        await signing_keys.insert(tx, *make_key(), cipher)


async def rotate(tx: Tx, cipher: Cipher) -> None:
    """A new key when it is time for one, and less of those that it has followed."""
    keys, at = await signing_keys.everything(tx), leases.now()
    if at >= keys[-1].created_at + NEW_KEY_AFTER:
        await signing_keys.insert(tx, *make_key(), cipher)
        await chores.publish_routes(tx)
    for key, successor in pairwise(keys):
        await _retire(tx, key, successor.created_at + PUBLISHED_BEFORE + CLOCKS, at)


async def _retire(tx: Tx, key: Standing, signed_until: datetime, at: datetime) -> None:
    if key.can_sign and at >= signed_until:
        await signing_keys.forget_private(tx, key.id)
    if not key.is_published or at < signed_until + LONGEST_ACCESS_TOKEN:
        return
    # A token is signed once more when its creation is repeated.
    if not await endpoint_tokens.any_made(tx, key.created_at - idempotency.KEPT_FOR, signed_until):
        await signing_keys.unpublish(tx, key.id)
        await chores.publish_routes(tx)


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
    key = await signing_keys.signer(tx, cipher, leases.now() - PUBLISHED_BEFORE)
    told = {"iss": await issuer(tx), **claims}
    return jwt.encode(told, _private(key.private), ALGORITHM, headers={"kid": key.id, "typ": kind})


async def published(tx: Tx) -> Published:
    """The installation's name and the keys that verify what it signed."""
    found = await signing_keys.published(tx)
    assert found is not None
    return found


async def issuer(tx: Tx) -> str:
    return (await published(tx)).issuer


def read_access_token(token: str, own: Published) -> dict[str, Any] | None:
    """The claims of an access token that one of these keys signed; None for what is no such token.

    Raises `Unauthenticated` when it is one that has expired."""
    by_id = {key["kid"]: key for key in own.keys}
    try:
        header = jwt.get_unverified_header(token)
        if header.get("typ") != ACCESS_TOKEN or header.get("kid") not in by_id:
            return None
        # Another server's clock may be ahead: what says when it was issued is no condition.
        options: Any = {"require": _REQUIRED, "verify_iat": False}
        key = jwt.PyJWK.from_dict(dict(by_id[header["kid"]]), ALGORITHM)
        return jwt.decode(token, key, [ALGORITHM], options=options, audience=own.issuer, issuer=own.issuer)
    except jwt.ExpiredSignatureError:
        raise errors.Unauthenticated("cannot authenticate: the access token has expired; get a new one") from None
    except jwt.InvalidTokenError:
        return None
