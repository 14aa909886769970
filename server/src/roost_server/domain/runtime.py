"""Runtime: what a user manages. Its name, what is wanted of it, and how it stands."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from roost_server.domain import errors

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Wanted(StrEnum):
    """What the user asked for."""

    RUNNING = "running"
    STOPPED = "stopped"
    DELETED = "deleted"


class Status(StrEnum):
    CREATING = "creating"  # first replicas are starting
    ACTIVE = "active"  # every wanted replica is ready and routed
    UPDATING = "updating"  # a new version starts beside the one that serves
    STARTING = "starting"  # replicas come back after a stop or a crash
    STOPPING = "stopping"  # replicas drain and go
    STOPPED = "stopped"  # no replicas; configuration, endpoints and logs are kept
    PAUSED = "paused"  # processes frozen in memory
    SUSPENDED = "suspended"  # asleep; a request wakes it
    ERROR = "error"  # a wanted replica could not start; `reason` and `message` say why
    DELETING = "deleting"  # replicas go, then the row


ALLOWED: dict[Status, frozenset[Status]] = {
    Status.CREATING: frozenset({Status.ACTIVE, Status.ERROR, Status.STOPPING, Status.DELETING}),
    Status.ACTIVE: frozenset(
        {
            Status.UPDATING,
            Status.STARTING,
            Status.ERROR,
            Status.STOPPING,
            Status.PAUSED,
            Status.SUSPENDED,
            Status.DELETING,
        }
    ),
    Status.UPDATING: frozenset({Status.ACTIVE, Status.STARTING, Status.ERROR, Status.STOPPING, Status.DELETING}),
    Status.STARTING: frozenset({Status.ACTIVE, Status.UPDATING, Status.ERROR, Status.STOPPING, Status.DELETING}),
    Status.STOPPING: frozenset({Status.STOPPED, Status.STARTING, Status.DELETING}),
    Status.STOPPED: frozenset({Status.STARTING, Status.DELETING}),
    Status.PAUSED: frozenset({Status.ACTIVE, Status.ERROR, Status.STOPPING, Status.DELETING}),
    Status.SUSPENDED: frozenset({Status.STARTING, Status.ACTIVE, Status.ERROR, Status.STOPPING, Status.DELETING}),
    Status.ERROR: frozenset(
        {Status.ACTIVE, Status.UPDATING, Status.STARTING, Status.CREATING, Status.STOPPING, Status.DELETING}
    ),
    Status.DELETING: frozenset(),
}


class Reason(StrEnum):
    """Why a runtime, replica or image is not where it should be. One word for programs; `message` is for people."""

    IMAGE_PULLING = "image_pulling"  # the image is being pulled, built or unpacked
    IMAGE_NOT_FOUND = "image_not_found"
    IMAGE_UNAUTHORIZED = "image_unauthorized"
    IMAGE_ARCHITECTURE = "image_architecture"
    IMAGE_CORRUPT = "image_corrupt"
    IMAGE_INVALID = "image_invalid"
    IMAGE_BUILD_FAILED = "image_build_failed"
    REGISTRY_UNAVAILABLE = "registry_unavailable"
    DISK_FULL = "disk_full"
    START_FAILED = "start_failed"  # the command could not be started
    EXITED = "exited"  # the process ended
    OUT_OF_MEMORY = "out_of_memory"  # the kernel killed it at its memory limit
    HEALTH_FAILED = "health_failed"  # the probe did not answer 200
    NO_CAPACITY = "no_capacity"  # the machine cannot hold it
    ENGINE_UNAVAILABLE = "engine_unavailable"
    RESTARTING = "restarting"  # it ended and is being started again
    WAITING = "waiting"  # for replicas to become ready and routed


PASSING = (None, Reason.RESTARTING, Reason.IMAGE_PULLING, Reason.WAITING, Reason.ENGINE_UNAVAILABLE)
"""Reasons of a replica that is on its way, not in trouble."""


@dataclass(frozen=True)
class Runtime:
    """`version` is the latest; `applied_version` the one that endpoints follow, which lags behind while a version is
    only recorded. Replicas of an older `generation` are replaced one for one without downtime."""

    id: str
    workspace_id: str
    name: str
    description: str
    wanted: Wanted
    status: Status
    reason: str | None
    message: str | None
    version: int
    applied_version: int
    generation: int
    labels: dict[str, str]
    revision: int
    created_at: datetime
    updated_at: datetime


def check_name(name: str) -> str:
    """The name itself, if it may be one. Raises `Invalid` naming the field."""
    if UUID.fullmatch(name):
        raise _bad_name("cannot use a UUID as a runtime name: paths could not tell the name from an id")
    if not NAME.fullmatch(name):
        raise _bad_name(
            f"cannot use a name of {len(name)} characters: at most 63 fit"
            if len(name) > 63
            else f'cannot use "{name}" as a name: use 1-63 lower-case letters, digits and hyphens, '
            "beginning and ending with a letter or digit"
        )
    if "--" in name:
        raise _bad_name(f'cannot use "{name}" as a name: two hyphens in a row separate the parts of host names')
    return name


def _bad_name(message: str) -> errors.Invalid:
    return errors.Invalid(message, errors=[errors.FieldError(("name",), message)])


@dataclass(frozen=True)
class ReplicaCount:
    wanted: int = 0
    ready: int = 0


@dataclass(frozen=True)
class Event:
    """Something that happened to a runtime or one of its replicas, for people to read."""

    id: str
    runtime_id: str
    replica_id: str | None
    type: str
    reason: str | None
    message: str
    created_at: datetime
    data: dict[str, object] = field(default_factory=dict)
