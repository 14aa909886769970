"""Endpoints."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from roost_server.domain.access import Access
from roost_server.domain.endpoint import Endpoint, Weights
from roost_server.domain.ids import new_id
from roost_server.domain.runtime import Wanted
from roost_server.store import documents, statements
from roost_server.store.leases import now
from roost_server.store.store import Row, Tx
from roost_server.store.tables import endpoints as table

_NAMES = tuple(Endpoint.__dataclass_fields__)
PUBLIC = Access()


def weights_of(document: Mapping[str, int] | None) -> dict[int, int] | None:
    """JSON has only texts as keys."""
    return None if document is None else {int(version): weight for version, weight in document.items()}


def access_of(document: Mapping[str, Any] | None) -> Access:
    """NULL in the database is the default: public."""
    return PUBLIC if document is None else documents.read(Access, document)


def _endpoint(row: Row) -> Endpoint:
    read = {
        "wanted": Wanted(row["wanted"]),
        "split": weights_of(row["split"]),
        "live": weights_of(row["live"]),
        "access": access_of(row["access"]),
    }
    return Endpoint(**{**row, **read})


def _document(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of an endpoint as the database keeps them."""
    kept = dict(values)
    for name in ("split", "live"):
        if kept.get(name) is not None:
            kept[name] = {str(version): weight for version, weight in kept[name].items()}
    if "access" in kept:
        kept["access"] = None if kept["access"] == PUBLIC else asdict(kept["access"])
    return kept


async def insert(
    tx: Tx, runtime_id: str, name: str, *, is_default: bool = False, pinned: int | None = None, access: Access = PUBLIC
) -> Endpoint:
    """A new endpoint that is to serve and serves nothing yet."""
    at = now()
    endpoint = Endpoint(
        id=new_id(),
        runtime_id=runtime_id,
        name=name,
        is_default=is_default,
        wanted=Wanted.RUNNING,
        pinned_version=pinned,
        split=None,
        live_version=None,
        live={},
        kept_version=None,
        kept_until=None,
        kept_sessions=False,
        access=access,
        revision=1,
        created_at=at,
        updated_at=at,
    )
    values = {name: getattr(endpoint, name) for name in _NAMES}
    await tx.run(statements.insert(table), **_document(values))
    return endpoint


async def get(tx: Tx, endpoint_id: str) -> Endpoint | None:
    row = await tx.first(statements.by_id(table, _NAMES), row_id=endpoint_id)
    return _endpoint(row) if row else None


async def of(tx: Tx, *runtime_ids: str) -> list[Endpoint]:
    """Of these runtimes, oldest first."""
    rows = await tx.all(statements.belonging_to(table, _NAMES), runtime_ids=runtime_ids)
    return [_endpoint(row) for row in rows]


async def key_urls(tx: Tx) -> set[str]:
    """Where the keys of issuers are fetched from, of all that an endpoint accepts."""
    rows = await tx.all(sa.select(table.c.access).where(table.c.access.is_not(None)))
    found = (access_of(row["access"]).jwt for row in rows)
    return {jwt.keys_url for jwt in found if jwt is not None and jwt.keys_url is not None}


async def touch(tx: Tx, keys_url: str) -> None:
    """The keys there are others: what the gateway has of the endpoints that accept them is no longer how they are."""
    rows = await tx.all(sa.select(table.c.id, table.c.access).where(table.c.access.is_not(None)).order_by(table.c.id))
    for row in rows:
        if access_of(row["access"]).keys_url == keys_url:
            await _set(tx, row["id"], {})


async def retell(tx: Tx, endpoint_id: str) -> None:
    """What the gateway is told along with it is another: until that is confirmed, it does not have the endpoint as it
    is now."""
    await _set(tx, endpoint_id, {})


async def set_live(tx: Tx, endpoint_id: str, live: Weights, **values: Any) -> None:
    """Record what serves now, with `live_version` and what is kept of before."""
    await _set(tx, endpoint_id, {"live": live, **values})
    tx.nudge("runtime_changes")


async def set_routed(tx: Tx, seen: Mapping[str, datetime]) -> None:
    """Record that the gateway has confirmed these endpoints as they were at their `updated_at`."""
    await tx.run_many(_routed(), [{"row_id": id_, "new_routed_at": at} for id_, at in seen.items()])
    tx.nudge("runtime_changes")


@cache
def _routed() -> sa.Update:
    return statements.update(table, "routed_at")


async def update(tx: Tx, endpoint_id: str, **values: Any) -> None:
    """Change what a user wants of it (`wanted`, `pinned_version`, `split`, `access`, `is_default`); raises the
    revision."""
    await _set(tx, endpoint_id, {**values, "revision": None})


async def _set(tx: Tx, endpoint_id: str, values: dict[str, Any]) -> None:
    values = {**_document(values), "updated_at": now()}
    await tx.run(statements.update(table, *sorted(values)), row_id=endpoint_id, **statements.new(values))


async def delete(tx: Tx, endpoint_id: str) -> None:
    """With its tokens, canaries, sessions and traffic."""
    await tx.run(sa.delete(table).where(table.c.id == endpoint_id))
