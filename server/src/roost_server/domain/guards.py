"""From who may call an endpoint to what the gateway checks by itself. Pure."""

import json
from collections.abc import Mapping
from dataclasses import replace

from roost_server.domain.access import Access, ClaimValue, Jwt
from roost_server.domain.route import Guard, JwtCheck

NOBODY = "nobody"
"""The id of no token: what is accepted where no token is, for an empty list would mean any."""

NO_KEYS_YET = "cannot check tokens: the keys of this endpoint's issuer could not be fetched yet"
"""Told to anybody who calls, so it does not say where they are: that may be inside, or have a password in it."""

SUBJECT, TOKEN_ID = "sub", "sid"


def guard_of(
    access: Access,
    *,
    endpoint_id: str,
    runtime_id: str,
    own_keys: str,
    own_issuer: str,
    accepted_ids: tuple[str, ...],
    fetched: Mapping[str, str | None],
) -> Guard:
    """The guard of every route of an endpoint.

    `own_keys` (a JWK set as JSON) and `own_issuer` are those of the tokens that Roost makes, `accepted_ids` those of
    them that are good here; `fetched` holds the key sets by the URL they were fetched from, None where that has not
    worked yet.
    """
    common = Guard(allowed_cidrs=tuple(access.allowed_cidrs), rate_limit=access.rate_limit)
    if access.mode == "token":
        own = JwtCheck(
            issuer=own_issuer,
            keys=own_keys,
            audiences=(endpoint_id, runtime_id),
            claims=((TOKEN_ID, accepted_ids or (NOBODY,)),),
            user_claim=SUBJECT,
            must_expire=False,
        )
        return replace(common, jwt=own, drops_authorization=True)
    return common if access.jwt is None else _of_issuer(common, access.jwt, fetched)


def _of_issuer(common: Guard, jwt: Jwt, fetched: Mapping[str, str | None]) -> Guard:
    keys = _keys(jwt, fetched)
    if keys is None:
        return replace(common, closed=NO_KEYS_YET)
    claims = tuple((claim, _values(value)) for claim, value in sorted(jwt.required_claims.items()))
    check = JwtCheck(jwt.issuer, keys, tuple(jwt.audiences), claims, jwt.user_claim)
    return replace(common, jwt=check)


def _keys(jwt: Jwt, fetched: Mapping[str, str | None]) -> str | None:
    url = jwt.keys_url
    return json.dumps(jwt.jwks, sort_keys=True) if url is None else fetched.get(url)


def _values(value: ClaimValue) -> tuple[str | bool | int, ...]:
    return tuple(value) if isinstance(value, list) else (value,)
