"""What endpoints serve, should serve and keep, and who may call them, in words."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from roost.cli import output
from roost.models import Endpoint

if TYPE_CHECKING:
    from roost.runtime import Runtime


def default_of(runtime: "Runtime") -> Endpoint:
    return next(one for one in runtime.endpoints if one.default)


def live(endpoint: Endpoint) -> str:
    """ "version 2", or "1=90 %, 2=10 %"; "-" when nothing serves."""
    if len(endpoint.live) == 1:
        return f"version {endpoint.live[0].version}"
    return ", ".join(f"{one.version}={one.weight} %" for one in endpoint.live) or "-"


def aim(endpoint: Endpoint) -> str:
    """What it should serve."""
    if endpoint.split:
        return "split " + ",".join(f"{one.version}={one.weight}" for one in endpoint.split)
    return f"version {endpoint.target_version}" if endpoint.pinned else "the latest"


def kept(endpoint: Endpoint) -> str:
    """ "version 1 for 9 minutes", or nothing."""
    if endpoint.kept is None:
        return ""
    return f"version {endpoint.kept.version} for {_left(endpoint.kept.until)}"


def _left(until: datetime) -> str:
    seconds = max(0, round((until - datetime.now(UTC)).total_seconds()))
    if seconds >= 90:
        return f"{round(seconds / 60)} minutes"
    return "1 second" if seconds == 1 else f"{seconds} seconds"


def access(endpoint: Endpoint) -> str:
    """ "public", or "jwt of https://issuer.example.com, from 10.0.0.0/8, 100 per 1 s"."""
    rule = endpoint.access
    jwt, limit, ranges = rule.get("jwt"), rule.get("rate_limit"), rule.get("allowed_cidrs")
    parts: list[str] = [rule.get("mode", "public")]
    if jwt:
        parts = [f"jwt of {jwt.get('issuer') or jwt.get('jwks_uri') or 'given keys'}"]
    if ranges:
        parts.append(f"from {' or '.join(ranges)}")
    if limit:
        parts.append(f"{limit['requests']} per {limit['per_seconds']} s")
    return ", ".join(parts)


def claims(endpoint: Endpoint) -> list[tuple[str, str]]:
    """What a caller's JSON Web Token must say, in rows."""
    jwt = endpoint.access.get("jwt") or {}
    values = {
        name: one if isinstance(one, str) else json.dumps(one) for name, one in jwt.get("required_claims", {}).items()
    }
    asked = ", ".join(f"{name}={value}" for name, value in values.items())
    return [("audience", " or ".join(jwt.get("audiences") or [])), ("claims", asked)]


def sentence(name: str, endpoint: Endpoint) -> str:
    """What an endpoint of the runtime of this name serves now, with what can be gone back to."""
    told = f"{endpoint.name} of {name}" if not endpoint.default else name
    if endpoint.status not in ("active", "updating"):
        return f"{told} is {output.status(endpoint.status)}"
    word = "serve" if len(endpoint.live) > 1 else "serves"
    if endpoint.kept is None:
        return f"{told}: {live(endpoint)} {word}"
    back = f"roost rollback {name}" + ("" if endpoint.default else f" --endpoint {endpoint.name}")
    staying = f"version {endpoint.kept.version} stays ready for {_left(endpoint.kept.until)}"
    return f"{told}: {live(endpoint)} {word}; {staying}: `{back}`"


def base(runtime: "Runtime") -> str | None:
    """Of a new version that is made of the latest one: that another one serves, where that is so."""
    default, latest = default_of(runtime), runtime.version
    if not default.live or latest in (one.version for one in default.live):
        return None
    served = max(default.live, key=lambda one: one.weight).version
    return (
        f"roost: this builds on version {latest}, the latest, while {default.name} serves {live(default)}; to build on "
        f"what serves: roost deploy {runtime.name} --from-version {served}"
    )


def pinned(name: str, endpoint: Endpoint) -> str:
    """That later versions do not reach it, and how they would."""
    return (
        f"{endpoint.name} is pinned to version {endpoint.target_version}; to let it follow the latest again:\n"
        f"  roost endpoint update {name} {endpoint.name} --latest"
    )


def table(endpoints: Sequence[Endpoint]) -> None:
    """One line an endpoint."""
    headers = ("ENDPOINT", "STATUS", "SERVES", "SHOULD SERVE", "KEPT READY", "ACCESS", "URL")
    output.table(headers, [_row(one) for one in endpoints])


def _row(one: Endpoint) -> tuple[str, ...]:
    name = f"{one.name} (default)" if one.default else one.name
    return name, one.status, live(one), aim(one), kept(one) or "-", access(one), one.url
