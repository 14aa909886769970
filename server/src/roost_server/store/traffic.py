"""What routes depend on, of everything there is, in as few and as narrow reads as that takes."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from roost_server.domain.access import Access
from roost_server.domain.replica import ReplicaStatus
from roost_server.domain.routing import RoutedEndpoint, RoutedReplica, RoutedRuntime
from roost_server.domain.runtime import Status, Wanted
from roost_server.store.endpoints import access_of
from roost_server.store.store import Tx
from roost_server.store.tables import endpoints, organizations, replicas, runtimes, workspaces


@dataclass(frozen=True)
class Traffic:
    """All runtimes, and by runtime id their endpoints and replicas, oldest first; by endpoint id the access of those
    that are not open to everybody, and when those changed that the gateway has not confirmed since."""

    runtimes: list[RoutedRuntime]
    endpoints: dict[str, list[RoutedEndpoint]]
    replicas: dict[str, list[RoutedReplica]]
    access: dict[str, Access]
    unrouted: dict[str, datetime]


@cache
def _runtimes() -> sa.Select[Any]:
    row = runtimes.c
    columns = (row.id, row.name, row.status, workspaces.c.slug, organizations.c.slug)
    return sa.select(*columns).join_from(runtimes, workspaces).join(organizations).order_by(row.id)


@cache
def _endpoints() -> sa.Select[Any]:
    row = endpoints.c
    kept = sa.case((row.kept_sessions, row.kept_version), else_=None)
    columns = (
        row.runtime_id,
        row.id,
        row.is_default,
        row.wanted,
        row.live,
        kept,
        row.access,
        row.updated_at,
        row.routed_at,
    )
    return sa.select(*columns).order_by(row.id)


@cache
def _replicas() -> sa.Select[Any]:
    row = replicas.c
    return sa.select(row.runtime_id, row.id, row.version, row.status, row.address, row.routed).order_by(row.id)


async def read(tx: Tx) -> Traffic:
    """Everything, from one consistent view."""
    found = Traffic(
        [
            RoutedRuntime(id_, name, Status(status), *slugs)
            for id_, name, status, *slugs in await tx.tuples(_runtimes())
        ],
        defaultdict(list),
        defaultdict(list),
        {},
        {},
    )
    for runtime_id, id_, is_default, wanted, live, kept, access, updated, routed in await tx.tuples(_endpoints()):
        weights = tuple(sorted((int(version), weight) for version, weight in live.items()))
        stopped = wanted == Wanted.STOPPED
        found.endpoints[runtime_id].append(RoutedEndpoint(id_, is_default, stopped, weights, kept))
        if access is not None:
            found.access[id_] = access_of(access)
        if routed != updated:
            found.unrouted[id_] = updated
    for runtime_id, id_, version, status, *rest in await tx.tuples(_replicas()):
        found.replicas[runtime_id].append(RoutedReplica(id_, version, ReplicaStatus(status), *rest))
    return found
