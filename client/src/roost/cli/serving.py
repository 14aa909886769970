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
        return f"split {_weights(endpoint)}"
    return f"version {endpoint.target_version}" if endpoint.pinned else "the latest"


def versions(endpoint: Endpoint) -> list[int]:
    """Those that serve; where none does, those that it stays with, if it does not follow the latest."""
    held = [endpoint.target_version] if endpoint.pinned and endpoint.target_version else []
    return [share.version for share in endpoint.live or endpoint.split or []] or held


def _weights(endpoint: Endpoint) -> str:
    return ",".join(f"{one.version}={one.weight}" for one in endpoint.split or [])


def does_not_follow(endpoint: Endpoint) -> str:
    """Why later versions do not reach it: "DEFAULT is pinned to version 1"; empty where they do."""
    if endpoint.split:
        return f"{endpoint.name} is split {_weights(endpoint)}"
    return f"{endpoint.name} is pinned to version {endpoint.target_version}" if endpoint.pinned else ""


def kept(endpoint: Endpoint) -> str:
    """ "version 1 for 9 minutes", or nothing."""
    if endpoint.kept is None:
        return ""
    return f"version {endpoint.kept.version} for {_left(endpoint.kept.until)}"


def _left(until: datetime, minutes: str = "minutes") -> str:
    seconds = max(0, round((until - datetime.now(UTC)).total_seconds()))
    if seconds >= 90:
        return f"{round(seconds / 60)} {minutes}"
    return f"{seconds} s"


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


def serves(name: str, endpoint: Endpoint) -> str:
    """ "hello: version 2 serves", "canary of hello: version 1 serves 90 %, version 2 serves 10 %"."""
    told = f"{endpoint.name} of {name}" if not endpoint.default else name
    if endpoint.status not in ("active", "updating") or not endpoint.live:
        return f"{told} is {output.status(endpoint.status)}"
    shares = [f"version {one.version} serves {one.weight} %" for one in endpoint.live]
    return f"{told}: " + (", ".join(shares) if len(shares) > 1 else f"{live(endpoint)} serves")


def sentence(name: str, endpoint: Endpoint) -> str:
    """What an endpoint of the runtime of this name serves now, with what can be gone back to."""
    if endpoint.kept is None or endpoint.status not in ("active", "updating"):
        return serves(name, endpoint)
    back = f"roost rollback {name}" + ("" if endpoint.default else f" --endpoint {endpoint.name}")
    staying = f"version {endpoint.kept.version} stays ready for {_left(endpoint.kept.until)}"
    return f"{serves(name, endpoint)}; {staying}: `{back}`"


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
    """All but the URL fits into a narrow terminal."""
    name = f"{one.name} (default)" if one.default else one.name
    kept_ready = f"{one.kept.version} for {_left(one.kept.until, minutes='min')}" if one.kept else "-"
    return name, one.status, _short(live(one)), _short(aim(one)), kept_ready, access(one), one.url


def _short(phrase: str) -> str:
    return phrase.removeprefix("version ").removeprefix("the ").removeprefix("split ")
