"""Idempotency keys: which object a creating request with this key made."""

from datetime import timedelta

import sqlalchemy as sa

from roost_server.store.leases import now
from roost_server.store.store import Tx
from roost_server.store.tables import idempotency_keys as table

KEPT_FOR = timedelta(hours=24)


async def find(tx: Tx, workspace_id: str, key: str) -> tuple[str, str] | None:
    """Fingerprint of the request's body and id of the object it made."""
    row = await tx.first(sa.select(table).where(table.c.workspace_id == workspace_id, table.c.key == key))
    return (row["fingerprint"], row["object_id"]) if row else None


async def remember(tx: Tx, workspace_id: str, key: str, fingerprint: str, object_id: str) -> None:
    values = {"workspace_id": workspace_id, "key": key, "fingerprint": fingerprint, "object_id": object_id}
    await tx.run(sa.insert(table).values(**values, created_at=now()))


async def purge(tx: Tx) -> None:
    """Forget keys after a day."""
    await tx.run(sa.delete(table).where(table.c.created_at < now() - KEPT_FOR))
