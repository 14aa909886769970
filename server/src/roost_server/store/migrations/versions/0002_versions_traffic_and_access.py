"""Endpoints that split their traffic, canaries, scales, flavors, service accounts, access, samples.

Endpoints of before are kept as they were: the one named DEFAULT is the default, and what served goes on serving.
"""

import sqlalchemy as sa
from alembic import op
from roost_server.store.types import Instant

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "flavors",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("description", sa.String(length=500), nullable=False),
        sa.Column("cpu_cores", sa.Float(), nullable=False),
        sa.Column("memory_mb", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_flavors")),
        sa.UniqueConstraint("name", name=op.f("uq_flavors_name")),
    )
    op.create_table(
        "key_sets",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("url", sa.String(length=2048), nullable=False),
        sa.Column("keys", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("fetched_at", Instant(), nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("wake_at", Instant(), nullable=True),
        sa.Column("lease_token", sa.String(length=36), nullable=True),
        sa.Column("lease_until", Instant(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_key_sets")),
        sa.UniqueConstraint("url", name=op.f("uq_key_sets_url")),
    )
    with op.batch_alter_table("key_sets", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_key_sets_lease_until"), ["lease_until"], unique=False)
        batch_op.create_index(batch_op.f("ix_key_sets_wake_at"), ["wake_at"], unique=False)

    op.create_table(
        "signing_keys",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("private_encrypted", sa.Text(), nullable=True),
        sa.Column("public", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signing_keys")),
    )
    op.create_table(
        "scales",
        sa.Column("runtime_id", sa.String(length=36), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("replicas", sa.Integer(), nullable=False),
        sa.Column("low_since", Instant(), nullable=True),
        sa.Column("low_most", sa.Integer(), nullable=True),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["runtime_id"], ["runtimes.id"], name=op.f("fk_scales_runtime_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("runtime_id", "version", name=op.f("pk_scales")),
    )
    op.create_table(
        "service_accounts",
        sa.Column("runtime_id", sa.String(length=36), nullable=False),
        sa.Column("client_id", sa.String(length=64), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("secret_encrypted", sa.Text(), nullable=False),
        sa.Column("secret_id", sa.String(length=36), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["runtime_id"], ["runtimes.id"], name=op.f("fk_service_accounts_runtime_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("runtime_id", name=op.f("pk_service_accounts")),
        sa.UniqueConstraint("client_id", name=op.f("uq_service_accounts_client_id")),
    )
    op.create_table(
        "usage_samples",
        sa.Column("runtime_id", sa.String(length=36), nullable=False),
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("replica_id", sa.String(length=36), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("span_seconds", sa.Integer(), nullable=False),
        sa.Column("cpu_cores", sa.Float(), nullable=False),
        sa.Column("memory_bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["runtime_id"], ["runtimes.id"], name=op.f("fk_usage_samples_runtime_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("runtime_id", "at", "replica_id", name=op.f("pk_usage_samples")),
    )
    with op.batch_alter_table("usage_samples", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_usage_samples_span_seconds_at"), ["span_seconds", "at"], unique=False)

    op.create_table(
        "canaries",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("runtime_id", sa.String(length=36), nullable=False),
        sa.Column("endpoint_id", sa.String(length=36), nullable=False),
        sa.Column("from_version", sa.Integer(), nullable=False),
        sa.Column("to_version", sa.Integer(), nullable=False),
        sa.Column("steps", sa.JSON(), nullable=False),
        sa.Column("interval_seconds", sa.Float(), nullable=False),
        sa.Column("max_error_rate", sa.Float(), nullable=False),
        sa.Column("max_p95_ratio", sa.Float(), nullable=False),
        sa.Column("min_requests", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("step_since", Instant(), nullable=True),
        sa.Column("baseline", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("judged", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.Column("wake_at", Instant(), nullable=True),
        sa.Column("lease_token", sa.String(length=36), nullable=True),
        sa.Column("lease_until", Instant(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["endpoint_id"], ["endpoints.id"], name=op.f("fk_canaries_endpoint_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["runtime_id"], ["runtimes.id"], name=op.f("fk_canaries_runtime_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_canaries")),
    )
    with op.batch_alter_table("canaries", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_canaries_endpoint_id"), ["endpoint_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_canaries_lease_until"), ["lease_until"], unique=False)
        batch_op.create_index(batch_op.f("ix_canaries_runtime_id"), ["runtime_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_canaries_wake_at"), ["wake_at"], unique=False)

    op.create_table(
        "endpoint_tokens",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("endpoint_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("expires_at", Instant(), nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["endpoint_id"], ["endpoints.id"], name=op.f("fk_endpoint_tokens_endpoint_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_endpoint_tokens")),
        sa.UniqueConstraint("endpoint_id", "name", name=op.f("uq_endpoint_tokens_endpoint_id_name")),
    )
    with op.batch_alter_table("endpoint_tokens", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_endpoint_tokens_endpoint_id"), ["endpoint_id"], unique=False)

    op.create_table(
        "sessions",
        sa.Column("endpoint_id", sa.String(length=36), nullable=False),
        sa.Column("session", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("seen_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["endpoint_id"], ["endpoints.id"], name=op.f("fk_sessions_endpoint_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("endpoint_id", "session", name=op.f("pk_sessions")),
    )
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_sessions_seen_at"), ["seen_at"], unique=False)

    op.create_table(
        "traffic_samples",
        sa.Column("endpoint_id", sa.String(length=36), nullable=False),
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("span_seconds", sa.Integer(), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("errors", sa.BigInteger(), nullable=False),
        sa.Column("p50_ms", sa.Float(), nullable=True),
        sa.Column("p95_ms", sa.Float(), nullable=True),
        sa.Column("p99_ms", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["endpoint_id"], ["endpoints.id"], name=op.f("fk_traffic_samples_endpoint_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("endpoint_id", "at", "version", name=op.f("pk_traffic_samples")),
    )
    with op.batch_alter_table("traffic_samples", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_traffic_samples_span_seconds_at"), ["span_seconds", "at"], unique=False)

    with op.batch_alter_table("endpoints", schema=None) as batch_op:
        batch_op.add_column(sa.Column("is_default", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.add_column(sa.Column("wanted", sa.String(length=16), nullable=False, server_default="running"))
        batch_op.add_column(sa.Column("split", sa.JSON(none_as_null=True), nullable=True))
        batch_op.add_column(sa.Column("live", sa.JSON(), nullable=False, server_default="{}"))
        batch_op.add_column(sa.Column("kept_version", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("kept_until", Instant(), nullable=True))
        batch_op.add_column(sa.Column("kept_sessions", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.add_column(sa.Column("access", sa.JSON(none_as_null=True), nullable=True))
        batch_op.add_column(sa.Column("routed_at", Instant(), nullable=True))

    with op.batch_alter_table("replicas", schema=None) as batch_op:
        batch_op.add_column(sa.Column("generation", sa.Integer(), nullable=False, server_default="1"))

    with op.batch_alter_table("runtimes", schema=None) as batch_op:
        batch_op.add_column(sa.Column("applied_version", sa.Integer(), nullable=False, server_default="1"))
        batch_op.add_column(sa.Column("generation", sa.Integer(), nullable=False, server_default="1"))

    with op.batch_alter_table("versions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("cpu_cores", sa.Float(), nullable=True))
        batch_op.add_column(sa.Column("memory_mb", sa.Integer(), nullable=True))

    _carry_over(op.get_bind())


def _carry_over(connection: sa.Connection) -> None:
    connection.execute(sa.text("UPDATE runtimes SET applied_version = version"))
    names = ("id", "name", "live_version", "is_default", "live")
    endpoints = sa.table("endpoints", *[sa.column(name) for name in names])
    for row in connection.execute(sa.select(endpoints.c.id, endpoints.c.name, endpoints.c.live_version)).all():
        live = {} if row.live_version is None else {str(row.live_version): 100}
        connection.execute(
            sa.text("UPDATE endpoints SET is_default = :is_default, live = :live WHERE id = :id").bindparams(
                sa.bindparam("is_default", type_=sa.Boolean()), sa.bindparam("live", type_=sa.JSON())
            ),
            {"is_default": row.name == "DEFAULT", "live": live, "id": row.id},
        )
