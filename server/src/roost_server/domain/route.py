"""Route and Snapshot: the complete gateway configuration, as values. Computed whole, every time."""

from dataclasses import dataclass
from enum import StrEnum

from roost_server.domain.access import RateLimit


@dataclass(frozen=True)
class Backend:
    """One replica behind a route. A draining backend gets no new requests; those in flight go on."""

    replica_id: str
    address: str
    port: int
    draining: bool = False


@dataclass(frozen=True)
class Pool:
    """The replicas of one version behind a route. `weight` is its percent of new requests; with 0 it gets none but
    those of sessions that it keeps (`keeps_sessions`), and those in flight go on."""

    version: int
    weight: int
    backends: tuple[Backend, ...]
    keeps_sessions: bool = False


@dataclass(frozen=True)
class JwtCheck:
    """Tokens that may pass. `keys` is a JWK set as JSON. Each of `claims` is a claim's path and the values of which one
    must be there (none given: the claim must be there); `user_claim` becomes the user-id header. `must_expire`: a token
    without `exp` is refused, since only its row could end it and there is none."""

    issuer: str | None
    keys: str
    audiences: tuple[str, ...] = ()
    claims: tuple[tuple[str, tuple[str | bool | int, ...]], ...] = ()
    user_claim: str = "sub"
    must_expire: bool = True


@dataclass(frozen=True)
class Guard:
    """Who may pass, as the gateway checks it by itself. `closed`: nobody, for the reason given (keys that could not be
    had). `drops_authorization`: the token is the gateway's business and does not reach the agent."""

    allowed_cidrs: tuple[str, ...] = ()
    rate_limit: RateLimit | None = None
    jwt: JwtCheck | None = None
    drops_authorization: bool = False
    closed: str | None = None


OPEN = Guard()


class Refusal(StrEnum):
    """Why the gateway itself could not pass on a request to a replica that was ready: `reason` in its answer."""

    UNREACHABLE = "unreachable"  # the replica does not take connections
    DISCONNECTED = "disconnected"  # the replica closed the connection before it answered
    OVERLOADED = "overloaded"  # the gateway has no room for more connections
    IDLE_TIMEOUT = "idle_timeout"  # nothing was sent for too long
    RATE_LIMITED = "rate_limited"  # the endpoint's rate limit
    UNAUTHENTICATED = "unauthenticated"  # no token, or one that is not accepted
    KEYS_UNAVAILABLE = "keys_unavailable"  # tokens cannot be checked: there is no key to check them with
    FORBIDDEN = "forbidden"  # the caller's address or the token's claims are not allowed


@dataclass(frozen=True)
class Unavailable:
    """What the gateway answers, as 503 JSON with `Retry-After`, when a route has no backend to use."""

    reason: str
    message: str
    retry_after_seconds: int = 5


@dataclass(frozen=True)
class Route:
    """Hosts (whole names, lower case) that lead to the same pools. `id` is stable across snapshots: the endpoint's, or
    `<endpoint>-<port>` for an exposed port. `workspace` and `runtime` are names, for whoever reads traces."""

    id: str
    hosts: tuple[str, ...]
    pools: tuple[Pool, ...] = ()
    guard: Guard = OPEN
    unavailable: Unavailable | None = None
    workspace: str = ""
    runtime: str = ""

    @property
    def is_sticky(self) -> bool:
        """Whether a session must be kept with the version it began with."""
        return sum(pool.weight > 0 or pool.keeps_sessions for pool in self.pools) > 1


@dataclass(frozen=True)
class Snapshot:
    """Every route of this installation. A host that is in none of them is answered 404."""

    routes: tuple[Route, ...] = ()
