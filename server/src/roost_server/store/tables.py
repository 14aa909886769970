"""Every table. The migrations are tested to be equal to this file.

Tables whose rows a reconciler moves carry the claim columns of `claimable()`; `leases.py` alone writes those.
"""

from typing import Any

import sqlalchemy as sa

from roost_server.store.types import Instant, Message

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def identifier(**options: Any) -> sa.Column[str]:
    return sa.Column("id", sa.String(36), primary_key=True, **options)


def belongs_to(name: str, target: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(
        name, sa.String(36), sa.ForeignKey(f"{target}.id", ondelete="CASCADE"), nullable=nullable, index=True
    )


def created() -> sa.Column[Any]:
    return sa.Column("created_at", Instant, nullable=False)


def updated() -> sa.Column[Any]:
    return sa.Column("updated_at", Instant, nullable=False)


def revision() -> sa.Column[int]:
    return sa.Column("revision", sa.Integer, nullable=False)


def claimable() -> list[sa.Column[Any]]:
    """When the row is due, who works on it and until when, and how often that failed in a row."""
    return [
        sa.Column("wake_at", Instant, index=True),
        sa.Column("lease_token", sa.String(36)),
        sa.Column("lease_until", Instant, index=True),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    ]


organizations = sa.Table(
    "organizations",
    metadata,
    identifier(),
    sa.Column("slug", sa.String(63), nullable=False, unique=True),
    created(),
)

workspaces = sa.Table(
    "workspaces",
    metadata,
    identifier(),
    belongs_to("organization_id", "organizations"),
    sa.Column("slug", sa.String(63), nullable=False),
    created(),
    sa.UniqueConstraint("organization_id", "slug"),
)

tokens = sa.Table(
    "tokens",
    metadata,
    identifier(),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False, unique=True),
    sa.Column("role", sa.String(16), nullable=False),
    belongs_to("workspace_id", "workspaces", nullable=True),
    created(),
)

images = sa.Table(
    "images",
    metadata,
    identifier(),
    belongs_to("workspace_id", "workspaces", nullable=True),
    sa.Column("reference", sa.String(512), nullable=False, index=True),
    sa.Column("source", sa.String(16), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("reason", sa.String(64)),
    sa.Column("message", Message),
    sa.Column("digest", sa.String(71)),
    sa.Column("architecture", sa.String(32)),
    sa.Column("size_bytes", sa.BigInteger),
    sa.Column("progress", sa.JSON, nullable=False),
    sa.Column("auth_username", sa.String(256)),
    sa.Column("auth_password_encrypted", sa.Text),
    sa.Column("input", sa.JSON, nullable=False),
    revision(),
    created(),
    updated(),
    *claimable(),
)

pushes = sa.Table(
    "pushes",
    metadata,
    identifier(),
    belongs_to("image_id", "images"),
    sa.Column("reference", sa.String(512), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("reason", sa.String(64)),
    sa.Column("message", Message),
    sa.Column("progress", sa.JSON, nullable=False),
    sa.Column("auth_username", sa.String(256)),
    sa.Column("auth_password_encrypted", sa.Text),
    created(),
    updated(),
    *claimable(),
)

runtimes = sa.Table(
    "runtimes",
    metadata,
    identifier(),
    belongs_to("workspace_id", "workspaces"),
    sa.Column("name", sa.String(63), nullable=False),
    sa.Column("description", sa.String(500), nullable=False),
    sa.Column("wanted", sa.String(16), nullable=False),
    sa.Column("status", sa.String(16), nullable=False, index=True),
    sa.Column("reason", sa.String(64)),
    sa.Column("message", Message),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("labels", sa.JSON, nullable=False),
    revision(),
    created(),
    updated(),
    *claimable(),
    sa.UniqueConstraint("workspace_id", "name"),
)

versions = sa.Table(
    "versions",
    metadata,
    sa.Column(
        "runtime_id", sa.String(36), sa.ForeignKey("runtimes.id", ondelete="CASCADE"), primary_key=True, nullable=False
    ),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("config", sa.JSON, nullable=False),
    sa.Column("image_id", sa.String(36), sa.ForeignKey("images.id"), nullable=False, index=True),
    created(),
)

endpoints = sa.Table(
    "endpoints",
    metadata,
    identifier(),
    belongs_to("runtime_id", "runtimes"),
    sa.Column("name", sa.String(63), nullable=False),
    sa.Column("pinned_version", sa.Integer),
    sa.Column("live_version", sa.Integer),
    revision(),
    created(),
    updated(),
    sa.UniqueConstraint("runtime_id", "name"),
)

replicas = sa.Table(
    "replicas",
    metadata,
    identifier(),
    belongs_to("runtime_id", "runtimes"),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("reason", sa.String(64)),
    sa.Column("message", Message),
    sa.Column("address", sa.String(64)),
    sa.Column("routed", sa.Boolean, nullable=False),
    sa.Column("exit_code", sa.Integer),
    sa.Column("restarts", sa.Integer, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("probe_failures", sa.Integer, nullable=False),
    sa.Column("restart_at", Instant),
    sa.Column("phases", sa.JSON, nullable=False),
    created(),
    sa.Column("queued_at", Instant, nullable=False),
    sa.Column("started_at", Instant),
    sa.Column("ready_at", Instant),
    sa.Column("stopping_at", Instant),
    updated(),
    *claimable(),
)

events = sa.Table(
    "events",
    metadata,
    identifier(),
    belongs_to("runtime_id", "runtimes"),
    sa.Column("replica_id", sa.String(36)),
    sa.Column("type", sa.String(64), nullable=False),
    sa.Column("reason", sa.String(64)),
    sa.Column("message", Message, nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
    created(),
)

actions = sa.Table(
    "actions",
    metadata,
    identifier(),
    belongs_to("workspace_id", "workspaces"),
    sa.Column("runtime_id", sa.String(36), index=True),
    sa.Column("verb", sa.String(64), nullable=False),
    sa.Column("actor", sa.String(100), nullable=False),
    sa.Column("request_id", sa.String(64)),
    created(),
)

idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    sa.Column("workspace_id", sa.String(36), primary_key=True),
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("object_id", sa.String(36), nullable=False),
    sa.Column("created_at", Instant, nullable=False, index=True),
)

chores = sa.Table(
    "chores",
    metadata,
    identifier(),
    *claimable(),
)
