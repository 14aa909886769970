"""Whose replicas and endpoints are, with the names that people know them by. None of it ever changes."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from roost_server.domain.sample import Origin
from roost_server.domain.version import Version
from roost_server.store import versions
from roost_server.store.store import Tx
from roost_server.store.tables import endpoints, organizations, replicas, runtimes, workspaces

MOST = 500
"""Ids asked for at a time."""


@dataclass(frozen=True)
class End:
    """An endpoint by names."""

    workspace: str
    runtime: str
    endpoint: str


async def origins(tx: Tx, replica_ids: Collection[str]) -> dict[str, Origin]:
    """By the replica's id; those without a row are left out."""
    row = replicas.c
    rows: dict[str, Any] = {}
    for ids in _portions(replica_ids):
        query = _named(row.id, row.runtime_id, row.version).join_from(replicas, runtimes)
        rows |= {one[0]: one[1:] for one in await tx.tuples(_with_workspace(query).where(row.id.in_(ids)))}
    numbers: dict[str, set[int]] = defaultdict(set)
    for runtime_id, number, *_ in rows.values():
        numbers[runtime_id].add(number)
    found: dict[tuple[str, int], Version] = {}
    for ids in _portions(numbers):
        found |= await versions.in_use(tx, {runtime_id: numbers[runtime_id] for runtime_id in ids})
    return {replica_id: _origin(found[one[0], one[1]], *one[2:]) for replica_id, one in rows.items()}


def _origin(version: Version, runtime: str, workspace: str, organization: str) -> Origin:
    size, scaling = version.resources, version.config.autoscaling
    return Origin(
        version.runtime_id,
        version.number,
        size.cores,
        size.memory << 20,
        scaling.max_replicas > scaling.min_replicas,
        runtime,
        f"{organization}/{workspace}",
    )


async def ends(tx: Tx, endpoint_ids: Collection[str]) -> dict[str, End]:
    """By the endpoint's id; those without a row are left out."""
    found = {}
    for ids in _portions(endpoint_ids):
        query = _named(endpoints.c.id, endpoints.c.name).join_from(endpoints, runtimes)
        for id_, name, runtime, workspace, organization in await tx.tuples(
            _with_workspace(query).where(endpoints.c.id.in_(ids))
        ):
            found[id_] = End(f"{organization}/{workspace}", runtime, name)
    return found


def _named(*columns: Any) -> sa.Select[Any]:
    return sa.select(*columns, runtimes.c.name, workspaces.c.slug, organizations.c.slug)


def _with_workspace(query: sa.Select[Any]) -> sa.Select[Any]:
    return query.join(workspaces, workspaces.c.id == runtimes.c.workspace_id).join(organizations)


def _portions(ids: Collection[str]) -> Iterator[list[str]]:
    everything = list(ids)
    for start in range(0, len(everything), MOST):
        yield everything[start : start + MOST]
