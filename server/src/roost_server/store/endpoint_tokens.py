"""Endpoint tokens: the rows; what is handed out is signed and not kept."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa

from roost_server.domain.endpoint_token import EndpointToken
from roost_server.domain.ids import new_id
from roost_server.store import service_accounts
from roost_server.store.leases import now
from roost_server.store.store import Tx
from roost_server.store.tables import endpoint_tokens as table


async def insert(tx: Tx, endpoint_id: str, name: str, expires_at: datetime | None) -> EndpointToken:
    made = EndpointToken(new_id(), endpoint_id, name, expires_at, now())
    await tx.run(sa.insert(table).values(**made.__dict__))
    return made


async def of(tx: Tx, endpoint_id: str) -> list[EndpointToken]:
    """Oldest first, expired ones too."""
    rows = await tx.all(sa.select(table).where(table.c.endpoint_id == endpoint_id).order_by(table.c.id))
    return [EndpointToken(**row) for row in rows]


async def delete(tx: Tx, endpoint_id: str, token_id: str) -> bool:
    """Whether it was there."""
    one = sa.and_(table.c.endpoint_id == endpoint_id, table.c.id == token_id)
    return await tx.run(sa.delete(table).where(one)) > 0


async def any_made(tx: Tx, since: datetime, until: datetime) -> bool:
    """Whether a token that was made then is still good."""
    good = sa.or_(table.c.expires_at.is_(None), table.c.expires_at > now())
    made = table.c.created_at.between(since, until)
    return await tx.first(sa.select(table.c.id).where(good, made).limit(1)) is not None


async def delete_expired(tx: Tx, endpoint_id: str) -> None:
    """They open nothing any more, but keep names and room from new ones."""
    one = sa.and_(table.c.endpoint_id == endpoint_id, table.c.expires_at <= now())
    await tx.run(sa.delete(table).where(one))


async def accepted_ids(tx: Tx, runtime_ids: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """By endpoint id, the `sid` of every token that its gateway lets pass in access mode `token`: those of its own
    tokens that have not expired, and that of its runtime's service account. `runtime_ids` is by endpoint id."""
    good = sa.or_(table.c.expires_at.is_(None), table.c.expires_at > now())
    query = sa.select(table.c.endpoint_id, table.c.id).where(good, table.c.endpoint_id.in_(runtime_ids))
    tokens: dict[str, list[str]] = defaultdict(list)
    for row in await tx.all(query.order_by(table.c.id)):
        tokens[row["endpoint_id"]].append(row["id"])
    accounts = await service_accounts.secret_ids(tx, *set(runtime_ids.values()))
    return {
        endpoint_id: (*tokens[endpoint_id], *([accounts[runtime_id]] if runtime_id in accounts else []))
        for endpoint_id, runtime_id in runtime_ids.items()
    }
