"""What routes depend on, of everything there is, in as few and as narrow reads as that takes."""

from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa

from roost_server.domain.replica import ReplicaStatus
from roost_server.domain.routing import RoutedEndpoint, RoutedReplica, RoutedRuntime
from roost_server.domain.runtime import Status
from roost_server.store.store import Tx
from roost_server.store.tables import endpoints, organizations, replicas, runtimes, workspaces


@dataclass(frozen=True)
class Traffic:
    """All runtimes, and by runtime id their endpoints and replicas, oldest first."""

    runtimes: list[RoutedRuntime]
    endpoints: dict[str, list[RoutedEndpoint]]
    replicas: dict[str, list[RoutedReplica]]


@cache
def _runtimes() -> sa.Select[Any]:
    row = runtimes.c
    columns = (row.id, row.name, row.status, workspaces.c.slug, organizations.c.slug)
    return sa.select(*columns).join_from(runtimes, workspaces).join(organizations).order_by(row.id)


@cache
def _endpoints() -> sa.Select[Any]:
    row = endpoints.c
    return sa.select(row.runtime_id, row.id, row.name, row.live_version).order_by(row.id)


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
    )
    for runtime_id, *rest in await tx.tuples(_endpoints()):
        found.endpoints[runtime_id].append(RoutedEndpoint(*rest))
    for runtime_id, id_, version, status, *rest in await tx.tuples(_replicas()):
        found.replicas[runtime_id].append(RoutedReplica(id_, version, ReplicaStatus(status), *rest))
    return found
