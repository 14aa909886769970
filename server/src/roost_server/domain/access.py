"""Access: who may call an endpoint, and how often. One definition for the API, the store and the gateway.

Plain dataclasses like the configuration's: the constraints in `metadata` are read by the API's validation.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from roost_server.domain import jwks as key_sets
from roost_server.domain.config import STRICT, described

ClaimValue = str | bool | int | list[str]

CLAIM_MAX = 32
VALUES_MAX, TEXT_MAX = 100, 512
"""Of one claim, and of each: Envoy is told all of them with every change of any route."""


@dataclass(frozen=True)
class Jwt:
    """Whose tokens are accepted. Keys come from `jwks`, from `jwks_uri`, or from what `issuer` publishes (OpenID
    Connect discovery); exactly one of the three is used, in that order."""

    __pydantic_config__ = STRICT
    issuer: str | None = field(
        default=None,
        metadata=described("The `iss` that tokens must carry; any if unset.", min_length=1, max_length=512),
    )
    jwks_uri: str | None = field(
        default=None,
        metadata=described("Where the issuer publishes its keys.", pattern="^https?://[^ ]+$", max_length=2048),
    )
    jwks: dict[str, Any] | None = field(
        default=None, metadata=described('The keys themselves, as a JWK set: `{"keys": […]}`.')
    )
    audiences: list[str] = field(
        default_factory=list, metadata=described("One of these must be in `aud`; any if empty.", max_length=CLAIM_MAX)
    )
    required_claims: dict[str, ClaimValue] = field(
        default_factory=dict,
        metadata=described(
            "Claims that must be there with this value; of a list, with one of its values. Dots reach into objects.",
            max_length=CLAIM_MAX,
        ),
    )
    user_claim: str = field(
        default="sub", metadata=described("The claim that names the caller.", min_length=1, max_length=200)
    )

    def __post_init__(self) -> None:
        if self.jwks is None and self.jwks_uri is None and self.issuer is None:
            raise ValueError("say whose tokens are accepted: give jwks, jwks_uri or issuer")
        if self.jwks is not None:
            try:
                key_sets.check(self.jwks)
            except ValueError as error:
                raise ValueError(f"jwks is {error}") from None
        if self.jwks is None and self.jwks_uri is None and not (self.issuer or "").startswith(("http://", "https://")):
            raise ValueError("issuer must be a URL where its keys are to be discovered; else give jwks or jwks_uri")
        for claim, values in {"aud": self.audiences, **self.required_claims}.items():
            _check_size(claim, values if isinstance(values, list) else [values])

    @property
    def keys_url(self) -> str | None:
        """Where to fetch keys or the issuer's metadata from; None when the keys are given."""
        if self.jwks is not None:
            return None
        return self.jwks_uri or f"{(self.issuer or '').rstrip('/')}/.well-known/openid-configuration"


def _check_size(claim: str, values: Sequence[str | bool | int]) -> None:
    if len(values) > VALUES_MAX:
        raise ValueError(f'claim "{claim[:100]}" has more than {VALUES_MAX} values')
    if any(len(text) > TEXT_MAX for text in (claim, *values) if isinstance(text, str)):
        raise ValueError(f'claim "{claim[:100]}" has a name or value of more than {TEXT_MAX} characters')


@dataclass(frozen=True)
class RateLimit:
    """A bucket of `requests`, which fills again evenly in `per_seconds`; what finds it empty is answered 429."""

    __pydantic_config__ = STRICT
    requests: int = field(metadata=described("How many.", ge=1, le=1_000_000))
    per_seconds: int = field(default=1, metadata=described("In how many seconds.", ge=1, le=86_400))


@dataclass(frozen=True)
class Access:
    """Who may call. `token`: whoever holds a token made for the endpoint, and the runtime's own service account."""

    __pydantic_config__ = STRICT
    mode: Literal["public", "token", "jwt"] = field(
        default="public", metadata=described("`public`, `token` (of this endpoint) or `jwt` (of an issuer).")
    )
    jwt: Jwt | None = field(default=None, metadata=described("Whose tokens mode `jwt` accepts."))
    allowed_cidrs: list[str] = field(
        default_factory=list,
        metadata=described("Only callers from these ranges, such as `10.0.0.0/8`; all if empty.", max_length=100),
    )
    rate_limit: RateLimit | None = field(default=None, metadata=described("At most so many requests."))

    @property
    def keys_url(self) -> str | None:
        """Where the keys of mode `jwt` are fetched from, if they are."""
        return self.jwt.keys_url if self.jwt else None

    def __post_init__(self) -> None:
        if self.mode == "jwt" and self.jwt is None:
            raise ValueError('mode "jwt" needs jwt: say whose tokens are accepted')
        if self.mode != "jwt" and self.jwt is not None:
            raise ValueError(f'jwt belongs to mode "jwt", not "{self.mode}"')
        for cidr in self.allowed_cidrs:
            try:
                ipaddress.ip_network(cidr, strict=False)
            except ValueError:
                raise ValueError(f'allowed_cidrs: "{cidr}" is no range such as 10.0.0.0/8 or 2001:db8::/32') from None
