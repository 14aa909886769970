"""Route and Snapshot: the complete gateway configuration, as values. Computed whole, every time."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class Backend:
    """One replica behind a route. A draining backend gets no new requests; those in flight go on."""

    replica_id: str
    address: str
    port: int
    draining: bool = False


class Refusal(StrEnum):
    """Why the gateway itself could not pass on a request to a replica that was ready: `reason` in its answer."""

    UNREACHABLE = "unreachable"  # the replica does not take connections
    DISCONNECTED = "disconnected"  # the replica closed the connection before it answered
    OVERLOADED = "overloaded"  # the gateway has no room for more connections
    IDLE_TIMEOUT = "idle_timeout"  # nothing was sent for too long


@dataclass(frozen=True)
class Unavailable:
    """What the gateway answers, as 503 JSON with `Retry-After`, when a route has no backend to use."""

    reason: str
    message: str
    retry_after_seconds: int = 5


@dataclass(frozen=True)
class Route:
    """Hosts (whole names, lower case) that lead to the same backends. `id` is stable across snapshots."""

    id: str
    hosts: tuple[str, ...]
    backends: tuple[Backend, ...] = ()
    unavailable: Unavailable | None = None


@dataclass(frozen=True)
class Snapshot:
    """Every route of this installation. A host that is in none of them is answered 404."""

    routes: tuple[Route, ...] = ()
