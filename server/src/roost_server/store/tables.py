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
    sa.Column("applied_version", sa.Integer, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
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
    sa.Column("cpu_cores", sa.Float),
    sa.Column("memory_mb", sa.Integer),
    created(),
)

endpoints = sa.Table(
    "endpoints",
    metadata,
    identifier(),
    belongs_to("runtime_id", "runtimes"),
    sa.Column("name", sa.String(63), nullable=False),
    sa.Column("is_default", sa.Boolean, nullable=False),
    sa.Column("wanted", sa.String(16), nullable=False),
    sa.Column("pinned_version", sa.Integer),
    sa.Column("split", sa.JSON(none_as_null=True)),
    sa.Column("live_version", sa.Integer),
    sa.Column("live", sa.JSON, nullable=False),
    sa.Column("kept_version", sa.Integer),
    sa.Column("kept_until", Instant),
    sa.Column("kept_sessions", sa.Boolean, nullable=False),
    sa.Column("access", sa.JSON(none_as_null=True)),
    sa.Column("routed_at", Instant),
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
    sa.Column("generation", sa.Integer, nullable=False),
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

scales = sa.Table(
    "scales",
    metadata,
    sa.Column("runtime_id", sa.String(36), sa.ForeignKey("runtimes.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("replicas", sa.Integer, nullable=False),
    sa.Column("low_since", Instant),
    sa.Column("low_most", sa.Integer),
    updated(),
)

canaries = sa.Table(
    "canaries",
    metadata,
    identifier(),
    belongs_to("runtime_id", "runtimes"),
    belongs_to("endpoint_id", "endpoints"),
    sa.Column("from_version", sa.Integer, nullable=False),
    sa.Column("to_version", sa.Integer, nullable=False),
    sa.Column("steps", sa.JSON, nullable=False),
    sa.Column("interval_seconds", sa.Float, nullable=False),
    sa.Column("max_error_rate", sa.Float, nullable=False),
    sa.Column("max_p95_ratio", sa.Float, nullable=False),
    sa.Column("min_requests", sa.Integer, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("message", Message),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("step_since", Instant),
    sa.Column("baseline", sa.JSON(none_as_null=True)),
    sa.Column("judged", sa.JSON(none_as_null=True)),
    revision(),
    created(),
    updated(),
    *claimable(),
)

flavors = sa.Table(
    "flavors",
    metadata,
    identifier(),
    sa.Column("name", sa.String(63), nullable=False, unique=True),
    sa.Column("description", sa.String(500), nullable=False),
    sa.Column("cpu_cores", sa.Float, nullable=False),
    sa.Column("memory_mb", sa.Integer, nullable=False),
    revision(),
    created(),
    updated(),
)

service_accounts = sa.Table(
    "service_accounts",
    metadata,
    sa.Column("runtime_id", sa.String(36), sa.ForeignKey("runtimes.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("client_id", sa.String(64), nullable=False, unique=True),
    sa.Column("secret_hash", sa.String(64), nullable=False),
    sa.Column("secret_encrypted", sa.Text, nullable=False),
    sa.Column("secret_id", sa.String(36), nullable=False),
    created(),
    updated(),
)

signing_keys = sa.Table(
    "signing_keys",
    metadata,
    identifier(),
    sa.Column("private_encrypted", sa.Text),
    sa.Column("public", sa.JSON(none_as_null=True)),
    created(),
)

endpoint_tokens = sa.Table(
    "endpoint_tokens",
    metadata,
    identifier(),
    belongs_to("endpoint_id", "endpoints"),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("expires_at", Instant),
    created(),
    sa.UniqueConstraint("endpoint_id", "name"),
)

key_sets = sa.Table(
    "key_sets",
    metadata,
    identifier(),
    sa.Column("url", sa.String(2048), nullable=False, unique=True),
    sa.Column("keys", sa.JSON(none_as_null=True)),
    sa.Column("message", Message),
    sa.Column("fetched_at", Instant),
    created(),
    *claimable(),
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("endpoint_id", sa.String(36), sa.ForeignKey("endpoints.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("session", sa.String(64), primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("seen_at", Instant, nullable=False, index=True),
)

usage_samples = sa.Table(
    "usage_samples",
    metadata,
    sa.Column("runtime_id", sa.String(36), sa.ForeignKey("runtimes.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("at", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("replica_id", sa.String(36), primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("span_seconds", sa.Integer, nullable=False),
    sa.Column("cpu_cores", sa.Float, nullable=False),
    sa.Column("memory_bytes", sa.BigInteger, nullable=False),
    sa.Index(None, "span_seconds", "at"),
)

traffic_samples = sa.Table(
    "traffic_samples",
    metadata,
    sa.Column("endpoint_id", sa.String(36), sa.ForeignKey("endpoints.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("at", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("span_seconds", sa.Integer, nullable=False),
    sa.Column("requests", sa.BigInteger, nullable=False),
    sa.Column("errors", sa.BigInteger, nullable=False),
    sa.Column("p50_ms", sa.Float),
    sa.Column("p95_ms", sa.Float),
    sa.Column("p99_ms", sa.Float),
    sa.Index(None, "span_seconds", "at"),
)

chores = sa.Table(
    "chores",
    metadata,
    identifier(),
    *claimable(),
)
