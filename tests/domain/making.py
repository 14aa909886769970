"""Rows for tables of pure decisions, with everything that does not matter filled in."""

from datetime import UTC, datetime
from typing import Any

from roost_server.domain.access import Access
from roost_server.domain.endpoint import Endpoint
from roost_server.domain.replica import Box, BoxStatus, Replica, ReplicaStatus
from roost_server.domain.runtime import Runtime, Status, Wanted

THEN = datetime(2026, 1, 1, tzinfo=UTC)


def a_replica(id: str = "r1", status: ReplicaStatus = ReplicaStatus.READY, version: int = 1, **other: Any) -> Replica:
    values: dict[str, Any] = {
        "runtime_id": "runtime",
        "generation": 1,
        "reason": None,
        "message": None,
        "address": "10.0.0.2",
        "routed": status == ReplicaStatus.READY,
        "exit_code": None,
        "restarts": 0,
        "phases": {},
        "created_at": THEN,
        "started_at": None,
        "ready_at": None,
        "updated_at": THEN,
    }
    return Replica(id=id, version=version, status=status, **{**values, **other})


def a_runtime(
    status: Status = Status.ACTIVE,
    wanted: Wanted = Wanted.RUNNING,
    version: int = 1,
    applied: int | None = None,
    generation: int = 1,
) -> Runtime:
    return Runtime(
        id="runtime",
        workspace_id="workspace",
        name="agent",
        description="",
        wanted=wanted,
        status=status,
        reason=None,
        message=None,
        version=version,
        applied_version=applied or version,
        generation=generation,
        labels={},
        revision=1,
        created_at=THEN,
        updated_at=THEN,
    )


def an_endpoint(live: int | None = 1, pinned: int | None = None, id: str = "e1", **other: Any) -> Endpoint:
    """`live` alone serves; `other` are further fields."""
    values: dict[str, Any] = {
        "name": "DEFAULT",
        "is_default": True,
        "wanted": Wanted.RUNNING,
        "split": None,
        "live": {} if live is None else {live: 100},
        "kept_version": None,
        "kept_until": None,
        "kept_sessions": False,
        "access": Access(),
    }
    return Endpoint(
        id=id,
        runtime_id="runtime",
        pinned_version=pinned,
        live_version=live,
        revision=1,
        created_at=THEN,
        updated_at=THEN,
        **{**values, **other},
    )


def a_box(status: BoxStatus = BoxStatus.RUNNING, **other: Any) -> Box:
    return Box(id="r1", status=status, address="10.0.0.2", **other)
