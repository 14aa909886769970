"""Replica: one running box of one version, and the pure decision what to do with it next."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from roost_server.domain.config import Health, Resources


class ReplicaStatus(StrEnum):
    PENDING = "pending"  # waits for its image or its turn
    STARTING = "starting"  # the box exists; the probe has not answered 200 yet
    READY = "ready"  # may receive traffic
    UNREADY = "unready"  # was ready; the probe fails now
    PAUSED = "paused"
    SUSPENDED = "suspended"
    STOPPING = "stopping"  # receives no new traffic; drains, then goes
    FAILED = "failed"  # ended or could not start; started again after a back-off


ALLOWED: dict[ReplicaStatus, frozenset[ReplicaStatus]] = {
    ReplicaStatus.PENDING: frozenset({ReplicaStatus.STARTING, ReplicaStatus.FAILED, ReplicaStatus.STOPPING}),
    ReplicaStatus.STARTING: frozenset({ReplicaStatus.READY, ReplicaStatus.FAILED, ReplicaStatus.STOPPING}),
    ReplicaStatus.READY: frozenset(
        {
            ReplicaStatus.UNREADY,
            ReplicaStatus.PAUSED,
            ReplicaStatus.SUSPENDED,
            ReplicaStatus.FAILED,
            ReplicaStatus.STOPPING,
        }
    ),
    ReplicaStatus.UNREADY: frozenset({ReplicaStatus.READY, ReplicaStatus.FAILED, ReplicaStatus.STOPPING}),
    ReplicaStatus.PAUSED: frozenset({ReplicaStatus.READY, ReplicaStatus.FAILED, ReplicaStatus.STOPPING}),
    ReplicaStatus.SUSPENDED: frozenset({ReplicaStatus.PENDING, ReplicaStatus.READY, ReplicaStatus.STOPPING}),
    ReplicaStatus.STOPPING: frozenset(),
    ReplicaStatus.FAILED: frozenset({ReplicaStatus.PENDING, ReplicaStatus.STOPPING}),
}


@dataclass(frozen=True)
class Replica:
    """A row. `phases` maps queued, image, disk, network, process, health to seconds of the latest start."""

    id: str
    runtime_id: str
    version: int
    generation: int
    status: ReplicaStatus
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
class ReplicaSpec:
    """Everything an engine needs to make the box of a replica, independent of any row. `env` holds secrets."""

    id: str
    runtime_id: str
    hostname: str
    image_digest: str
    resources: Resources
    command: list[str] = field(default_factory=list)
    args: list[str] = field(default_factory=list)
    user: str | None = None
    workdir: str | None = None
    env: dict[str, str] = field(default_factory=dict, repr=False)
    stop_grace_seconds: float = 10.0


class BoxStatus(StrEnum):
    CREATED = "created"  # exists, its process was not started (a create that was cut off)
    RUNNING = "running"
    PAUSED = "paused"
    EXITED = "exited"


@dataclass(frozen=True)
class Box:
    """What an engine sees of a replica now. `phases` are the seconds that disk, network and process took.

    `address` is an IP that the host, the probe and the gateway reach. `exit_code` follows the shell: 128 + n
    for signal n. `log_tail` holds the last lines of an exited box.
    """

    id: str
    status: BoxStatus
    address: str | None = None
    pid: int | None = None
    started_at: datetime | None = None
    exit_code: int | None = None
    oom_killed: bool = False
    log_tail: list[str] = field(default_factory=list)
    phases: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Usage:
    """What a box uses now: CPU seconds since its start and bytes of memory without reclaimable cache."""

    cpu_seconds: float
    memory_bytes: int


def is_running(box: Box | None) -> bool:
    return box is not None and box.status == BoxStatus.RUNNING


class Step(StrEnum):
    """What the replicas reconciler does next with one replica."""

    WAIT_IMAGE = "wait_image"  # its image is not ready yet
    FAIL_IMAGE = "fail_image"  # its image cannot be had
    CREATE = "create"  # make the box, or finish making it
    PROBE = "probe"  # ask its health
    SETTLE = "settle"  # running and no probe: ready
    RECORD_EXIT = "record_exit"  # write down how it ended, then back off
    BACK_OFF = "back_off"  # it ended; not yet time to start it again
    RECREATE = "recreate"  # remove the ended box and start again
    DRAIN = "drain"  # routed still, or requests in flight
    REMOVE = "remove"  # delete the box and the row


@dataclass(frozen=True)
class Situation:
    """What is known besides the row: the image, the clock, the gateway."""

    image_ready: bool
    image_failed: bool
    restart_due: bool
    drained: bool
    probe: Health | None


def next_step(replica: Replica, seen: Box | None, now: Situation) -> Step:
    """Pure: the recorded row and what the engine sees, to one step. Tested as a table."""
    if replica.status == ReplicaStatus.STOPPING:
        return Step.REMOVE if now.drained or not is_running(seen) else Step.DRAIN
    if replica.status == ReplicaStatus.FAILED:
        return Step.RECREATE if now.restart_due else Step.BACK_OFF
    if seen is not None and seen.status == BoxStatus.EXITED:
        return Step.RECORD_EXIT
    if seen is None or seen.status == BoxStatus.CREATED:
        return _next_without_box(replica, seen, now)
    return Step.PROBE if now.probe else Step.SETTLE


def _next_without_box(replica: Replica, seen: Box | None, now: Situation) -> Step:
    if replica.status not in (ReplicaStatus.PENDING, ReplicaStatus.STARTING):
        return Step.RECORD_EXIT
    if now.image_failed:
        return Step.FAIL_IMAGE
    if not now.image_ready:
        return Step.WAIT_IMAGE
    return Step.CREATE


def back_off_seconds(restarts: int) -> float:
    """0 for the first restart, then 1, 2, 4 … at most 300 seconds."""
    return 0.0 if restarts <= 0 else min(300.0, 2.0 ** min(restarts - 1, 9))
