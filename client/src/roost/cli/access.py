"""Who may call an endpoint: the options that say so, and what they make of the rule that there is."""

import json
import re
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from roost.cli import inputs
from roost.config import Access, Jwt, RateLimit

Public = Annotated[bool, typer.Option("--public", help="Whoever reaches it may call it.")]
Token = Annotated[bool, typer.Option("--token", help="Who holds a token made for this endpoint.")]
Issuer = Annotated[
    str | None, typer.Option("--jwt-issuer", metavar="URL", help="Who holds a JWT of this issuer (its `iss`).")
]
KeysUri = Annotated[
    str | None, typer.Option("--jwks-uri", metavar="URI", help="Where the keys are, if the issuer does not say.")
]
KeysFile = Annotated[
    Path | None, typer.Option("--jwks", metavar="FILE", help="The keys themselves, as a JWK set (- is stdin).")
]
Audience = Annotated[
    list[str] | None, typer.Option("--audience", metavar="AUD", help="One must be in the JWT's `aud`. Repeatable.")
]
Claim = Annotated[
    list[str] | None,
    typer.Option("--claim", metavar="CLAIM=VALUE", help="The JWT must have it; VALUE as JSON or text. Repeatable."),
]
NoAudience = Annotated[bool, typer.Option("--no-audience", help="Whatever the JWT's `aud`.")]
NoClaim = Annotated[bool, typer.Option("--no-claim", help="Whatever claims the JWT has.")]
UserClaim = Annotated[
    str | None, typer.Option("--user-claim", metavar="CLAIM", help="The claim that names the caller (sub).")
]
Allow = Annotated[
    list[str] | None,
    typer.Option("--allow", metavar="CIDR", help="Only from this range; `all` lifts it. Repeatable."),
]
Limit = Annotated[
    str | None,
    typer.Option("--rate-limit", metavar="N/TIME", help="At most so many, such as 100/1s or 5000/1h; `none` lifts it."),
]

_RATE = re.compile(r"(\d+)/(\d*)([smhd]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_JWT = ("jwt_issuer", "jwks_uri", "jwks", "audience", "claim", "user_claim")
_LIFTED = (("no_audience", "audience"), ("no_claim", "claim"))


def changed(ctx: typer.Context, present: Access) -> Access | None:
    """The rule with what was typed changed; None when nothing was."""
    typed: dict[str, Any] = ctx.params
    wants_jwt = any(typed[name] for name in _JWT)
    _check_lifted(typed, wants_jwt or bool(present.get("jwt")))
    wants_jwt = wants_jwt or any(typed.get(name) for name, _ in _LIFTED)
    if sum((typed["public"], typed["token"], wants_jwt)) > 1:
        raise typer.BadParameter("choose one of --public, --token and the --jwt options", param_hint="--public")
    rule: Access = {**present}
    if wants_jwt:
        rule |= {"mode": "jwt", "jwt": _jwt(typed, present.get("jwt") or {})}
    elif typed["public"] or typed["token"]:
        rule |= {"mode": "public" if typed["public"] else "token", "jwt": None}
    if typed["allow"]:
        rule["allowed_cidrs"] = [] if list(typed["allow"]) == ["all"] else list(typed["allow"])
    if typed["rate_limit"]:
        rule["rate_limit"] = rate(typed["rate_limit"])
    return None if rule == present else rule


def _check_lifted(typed: dict[str, Any], is_jwt: bool) -> None:
    """What takes something away goes with a JWT, and not with the option that gives it."""
    for name, given in _LIFTED:
        option = f"--no-{given}"
        if typed.get(name) and typed[given]:
            raise typer.BadParameter(f"choose one of --{given} and {option}", param_hint=option)
        if typed.get(name) and not is_jwt:
            raise typer.BadParameter("this endpoint asks nobody for a JWT", param_hint=option)


def _jwt(typed: dict[str, Any], present: Jwt) -> Jwt:
    jwt: Jwt = {**present}
    if typed["jwt_issuer"]:
        jwt["issuer"] = typed["jwt_issuer"]
    if typed["jwks_uri"]:
        jwt |= {"jwks_uri": typed["jwks_uri"], "jwks": None}
    if typed["jwks"]:
        jwt |= {"jwks": inputs.json_of(typed["jwks"], "--jwks"), "jwks_uri": None}
    if typed["audience"]:
        if "" in typed["audience"]:
            raise typer.BadParameter("an audience must not be empty, no token would have it", param_hint="--audience")
        jwt["audiences"] = list(typed["audience"])
    elif typed.get("no_audience"):
        jwt["audiences"] = []
    if typed["claim"]:
        jwt["required_claims"] = {name: _value(text) for name, text in inputs.pairs(typed["claim"], "--claim").items()}
    elif typed.get("no_claim"):
        jwt["required_claims"] = {}
    if typed["user_claim"]:
        jwt["user_claim"] = typed["user_claim"]
    return jwt


def _value(text: str) -> str | bool | int | list[str]:
    """Claims are compared as texts, truths, whole numbers and lists of texts; anything else typed is a text."""
    try:
        read = json.loads(text)
    except ValueError:
        return text
    return cast(str | bool | int | list[str], read) if isinstance(read, str | bool | int | list) else text


def rate(given: str) -> RateLimit | None:
    """ "100/1s" as a limit; None lifts it."""
    if given == "none":
        return None
    matched = _RATE.fullmatch(given)
    if not matched:
        raise typer.BadParameter(f'write "{given}" as N/TIME, such as 100/1s or 5000/1h', param_hint="--rate-limit")
    return {"requests": int(matched[1]), "per_seconds": int(matched[2] or 1) * _SECONDS[matched[3]]}


def weights(given: str) -> dict[int, int]:
    """ "1=90,2=10" as percent by version."""
    try:
        shares = [one.split("=") for one in given.split(",")]
        split = {int(version): int(weight) for version, weight in shares}
    except ValueError as error:
        raise typer.BadParameter(
            f'write "{given}" as VERSION=PERCENT, such as 1=90,2=10', param_hint="--split"
        ) from error
    if len(split) != len(shares):
        raise typer.BadParameter(f'"{given}" names a version twice', param_hint="--split")
    return split
