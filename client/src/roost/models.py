"""What the server tells, as dataclasses. Times are aware datetimes in UTC."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from roost.config import Access, RuntimeConfig


@dataclass(frozen=True)
class ReplicaCount:
    wanted: int
    ready: int


@dataclass(frozen=True)
class Share:
    """`weight` is percent of the requests."""

    version: int
    weight: int


@dataclass(frozen=True)
class Kept:
    """A version that was replaced; its replicas stay ready `until` then, so that going back takes a moment."""

    version: int
    until: datetime


@dataclass(frozen=True)
class Endpoint:
    """A URL of a runtime. `live` is what serves now, `version` the one that last served alone (None before the first
    is ready). It should serve `split`, or else `target_version`; `pinned` False: that follows the latest. `routed`:
    the gateway has all of this. `message` says what keeps callers out whom it should let in.
    """

    id: str
    name: str
    default: bool
    url: str
    status: str
    version: int | None
    target_version: int
    pinned: bool
    split: list[Share] | None
    live: list[Share]
    kept: Kept | None
    ready_replicas: int
    routed: bool
    message: str | None
    access: Access
    revision: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class ServiceAccount:
    """What a runtime's replicas prove with who they are. `updated_at` is when its secret was last replaced."""

    client_id: str
    agent_identity: str
    token_url: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class EndpointToken:
    """A token that opens an endpoint. `expires_at` None: until it is deleted."""

    id: str
    name: str
    expires_at: datetime | None
    created_at: datetime


@dataclass(frozen=True)
class NewEndpointToken(EndpointToken):
    """`token` is what to send as `Authorization: Bearer …`; it is shown this once."""

    token: str = field(repr=False)


@dataclass
class RuntimeState:
    """A runtime as the server last told it. `reason` is one word for programs, `message` the same for people.
    `version` is the latest, `applied_version` what endpoints that follow the latest are to serve."""

    id: str
    name: str
    description: str
    status: str
    reason: str | None
    message: str | None
    version: int
    applied_version: int
    replicas: ReplicaCount
    url: str
    alias_url: str | None
    endpoints: list[Endpoint] = field(repr=False)
    stale: bool
    labels: dict[str, str]
    revision: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class Replica:
    """One running box. `phases` are the seconds of its latest start: queued, image, disk, network, process, health."""

    id: str
    version: int
    status: str
    reason: str | None
    message: str | None
    address: str | None
    routed: bool
    exit_code: int | None
    restarts: int
    phases: dict[str, float]
    created_at: datetime
    started_at: datetime | None
    ready_at: datetime | None
    updated_at: datetime


@dataclass(frozen=True)
class Version:
    """An immutable, numbered configuration of a runtime. `cpu_cores` and `memory_mb` are of one replica, whatever
    flavor said so when it was made."""

    version: int
    config: RuntimeConfig
    cpu_cores: float
    memory_mb: int
    image_id: str
    created_at: datetime


@dataclass(frozen=True)
class Change:
    """A field's value in the other version, and in this one."""

    was: Any
    now: Any


@dataclass(frozen=True)
class Difference:
    """What `version` changed against `other`, by the field's dotted path."""

    version: int
    other: int
    changes: dict[str, Change]


@dataclass(frozen=True)
class Flavor:
    """A named size of a replica. `available`: whether this server's machine can hold it."""

    id: str
    name: str
    description: str
    cpu_cores: float
    memory_mb: int
    available: bool
    revision: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class CanaryFigures:
    """What was counted of one version; `weight` is percent of the requests now, `error_rate` between 0 and 1."""

    version: int
    weight: int
    requests: int
    errors: int
    error_rate: float
    p95_ms: float | None


@dataclass
class CanaryState:
    """A canary as the server last told it: `status` is running, paused, succeeded, rolled_back or aborted.

    `step` is the index of the step under way, `weight` its percent, `step_since` when that began to hold. `message` is
    what it waits for, or how it ended. `old` and `new` were counted in this step."""

    id: str
    endpoint: str
    endpoint_id: str
    from_version: int
    to_version: int
    steps: list[int]
    interval_seconds: float
    max_error_rate: float
    max_p95_ratio: float
    min_requests: int
    status: str
    message: str | None
    step: int
    weight: int
    step_since: datetime | None
    old: CanaryFigures
    new: CanaryFigures
    revision: int
    created_at: datetime
    updated_at: datetime

    @property
    def has_ended(self) -> bool:
        return self.status not in ("running", "paused")


@dataclass(frozen=True)
class Event:
    """Something that happened to a runtime or one of its replicas."""

    id: str
    type: str
    reason: str | None
    message: str
    replica_id: str | None
    data: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True)
class LogLine:
    """`stream` is stdout or stderr."""

    time: datetime
    stream: str
    text: str
    replica_id: str


@dataclass(frozen=True)
class LogPage:
    """`next_cursor` None: there is no further page."""

    items: list[LogLine]
    next_cursor: str | None = None


@dataclass(frozen=True)
class ExecResult:
    """A command's outcome. Exit codes as in a shell: 124 timed out, 126 not executable, 127 not found, 128 + signal.
    `signal` is the one that ended the command itself, if one did."""

    exit_code: int
    stdout: str
    stderr: str
    duration_ms: float
    stdout_truncated: bool = False
    stderr_truncated: bool = False
    timed_out: bool = False
    signal: int | None = None


@dataclass(frozen=True)
class Progress:
    """How far a pull, load or build is. `total_bytes` is 0 while unknown; `step` is for people."""

    step: str = ""
    done_bytes: int = 0
    total_bytes: int = 0


@dataclass(frozen=True)
class Image:
    """An image as this installation knows it: `status` is pending, pulling, ready or failed."""

    id: str
    reference: str
    source: str
    status: str
    reason: str | None
    message: str | None
    digest: str | None
    architecture: str | None
    size_bytes: int | None
    progress: Progress
    revision: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class Push:
    """An image on its way to a registry: `status` is pending, ready or failed."""

    id: str
    image_id: str
    reference: str
    status: str
    reason: str | None
    message: str | None


@dataclass(frozen=True)
class UsagePoint:
    """What a replica used in the step that begins at `at`: mean CPU, most memory; utilization in percent."""

    at: datetime
    cpu_cores: float
    cpu_utilization: float
    memory_bytes: int
    memory_utilization: float


@dataclass(frozen=True)
class TrafficPoint:
    """What was answered in the step that begins at `at`. `error_rate` is between 0 and 1."""

    at: datetime
    requests_per_second: float
    error_rate: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True)
class ReplicaMetrics:
    """One replica, past ones included. Steps in which it was not there have no point."""

    replica_id: str
    version: int
    cpu_limit_cores: float
    memory_limit_bytes: int
    points: list[UsagePoint] = field(repr=False)


@dataclass(frozen=True)
class EndpointMetrics:
    """One version behind an endpoint. Steps without a request have no point."""

    endpoint_id: str
    endpoint: str
    version: int
    points: list[TrafficPoint] = field(repr=False)


@dataclass(frozen=True)
class Metrics:
    """What was measured between two times, in steps of equal length."""

    since: datetime
    until: datetime
    step_seconds: int
    replicas: list[ReplicaMetrics]
    endpoints: list[EndpointMetrics]


@dataclass(frozen=True)
class RuntimeFigures:
    """How a runtime does: what its replicas use together now, and what its endpoints answered in the last minute."""

    id: str
    name: str
    status: str
    replicas: ReplicaCount
    cpu_cores: float
    cpu_limit_cores: float
    memory_bytes: int
    memory_limit_bytes: int
    requests_per_second: float
    error_rate: float
    p95_ms: float | None
