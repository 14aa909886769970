"""All runtimes at a glance, by the names people know them by: each figure in one read."""

from typing import Any, NamedTuple

import sqlalchemy as sa

from roost_server.domain.canary import UNDER_WAY
from roost_server.store.store import Tx
from roost_server.store.tables import canaries, endpoints, organizations, replicas, runtimes, scales, workspaces


class Replicas(NamedTuple):
    workspace: str
    runtime: str
    version: int
    status: str
    number: int


class Scaled(NamedTuple):
    """How many replicas scaling decided on."""

    workspace: str
    runtime: str
    version: int
    replicas: int


class Weight(NamedTuple):
    """What the new version of a canary that is under way has of an endpoint's traffic, in percent."""

    workspace: str
    runtime: str
    endpoint: str
    version: int
    percent: int


async def count_replicas(tx: Tx) -> list[Replicas]:
    row = replicas.c
    columns = (runtimes.c.name, row.version, row.status)
    query = _of_workspace(sa.select(*_workspace(), *columns, sa.func.count()).join_from(replicas, runtimes))
    return [
        Replicas(f"{org}/{ws}", *rest) for org, ws, *rest in await tx.tuples(query.group_by(*_workspace(), *columns))
    ]


async def scaled(tx: Tx) -> list[Scaled]:
    """Of versions that have replicas."""
    row = scales.c
    runs = sa.exists().where(replicas.c.runtime_id == row.runtime_id, replicas.c.version == row.version)
    query = sa.select(*_workspace(), runtimes.c.name, row.version, row.replicas).join_from(scales, runtimes)
    return [Scaled(f"{org}/{ws}", *rest) for org, ws, *rest in await tx.tuples(_of_workspace(query).where(runs))]


async def canary_weights(tx: Tx) -> list[Weight]:
    row = canaries.c
    columns = (runtimes.c.name, endpoints.c.name, row.to_version, endpoints.c.live)
    query = sa.select(*_workspace(), *columns).join_from(canaries, runtimes, row.runtime_id == runtimes.c.id)
    query = _of_workspace(query.join(endpoints, row.endpoint_id == endpoints.c.id))
    return [
        Weight(f"{org}/{ws}", runtime, endpoint, version, live.get(str(version), 0))
        for org, ws, runtime, endpoint, version, live in await tx.tuples(query.where(row.status.in_(UNDER_WAY)))
    ]


def _workspace() -> tuple[Any, Any]:
    return organizations.c.slug, workspaces.c.slug


def _of_workspace(query: sa.Select[Any]) -> sa.Select[Any]:
    joined = query.join(workspaces, workspaces.c.id == runtimes.c.workspace_id)
    return joined.join(organizations, organizations.c.id == workspaces.c.organization_id)
