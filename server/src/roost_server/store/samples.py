"""Samples: what replicas used and endpoints answered, summed up as they age.

Fresh ones are as they were read. After an hour they become one for every five minutes, which is what `SUMMED` marks.
Times are Unix time, whole seconds; a sample is at the end of the span that it covers.
"""

from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from roost_server.domain.sample import TrafficSample, UsageSample
from roost_server.store.store import Tx
from roost_server.store.tables import endpoints, runtimes, traffic_samples, usage_samples

SUMMED = 300
FRESH_SECONDS = 3600

_USAGE = tuple(UsageSample.__dataclass_fields__)
_TRAFFIC = tuple(TrafficSample.__dataclass_fields__)


async def insert(tx: Tx, usage: Sequence[UsageSample], traffic: Sequence[TrafficSample]) -> None:
    """Those whose runtime or endpoint still is there. Two gateways of one installation may count in the same second."""
    if usage:
        there = {row[0] for row in await tx.tuples(sa.select(runtimes.c.id))}
        await tx.run_many(_insert_usage(tx.is_sqlite), [vars(one) for one in usage if one.runtime_id in there])
    if traffic:
        there = {row[0] for row in await tx.tuples(sa.select(endpoints.c.id))}
        await tx.run_many(_insert_traffic(tx.is_sqlite), [vars(one) for one in traffic if one.endpoint_id in there])


def _upsert(is_sqlite: bool, table: sa.Table) -> Any:
    """Both databases know ON CONFLICT; SQLAlchemy has it once for each."""
    return sqlite.insert(table) if is_sqlite else postgresql.insert(table)


@cache
def _insert_usage(is_sqlite: bool) -> sa.Executable:
    statement: sa.Executable = _upsert(is_sqlite, usage_samples).on_conflict_do_nothing()
    return statement


@cache
def _insert_traffic(is_sqlite: bool) -> sa.Executable:
    statement = _upsert(is_sqlite, traffic_samples)
    now, new = traffic_samples.c, statement.excluded
    counted = {name: now[name] + new[name] for name in ("requests", "errors")}
    added: sa.Executable = statement.on_conflict_do_update(
        index_elements=list(traffic_samples.primary_key), set_={**counted, **_worse(now, new)}
    )
    return added


def _worse(now: Any, new: Any) -> dict[str, Any]:
    names = ("p50_ms", "p95_ms", "p99_ms")
    return {name: sa.case((new[name] > now[name], new[name]), else_=now[name]) for name in names}


@cache
def _usage_of_runtime() -> sa.Select[Any]:
    row = usage_samples.c
    since, until = sa.bindparam("since", type_=sa.BigInteger), sa.bindparam("until", type_=sa.BigInteger)
    ours = sa.and_(row.runtime_id == sa.bindparam("runtime_id"), row.at > since, row.at <= until)
    return sa.select(*[row[name] for name in _USAGE]).where(ours).order_by(row.at)


async def usage(tx: Tx, runtime_id: str, since: int, until: int) -> list[UsageSample]:
    """All that cover any of that time, oldest first."""
    reach = until + SUMMED
    rows = await tx.all(_usage_of_runtime(), runtime_id=runtime_id, since=since, until=reach)
    return [UsageSample(**row) for row in rows if row["at"] - row["span_seconds"] < until]


@cache
def _traffic_of_endpoints() -> sa.Select[Any]:
    row = traffic_samples.c
    since, until = sa.bindparam("since", type_=sa.BigInteger), sa.bindparam("until", type_=sa.BigInteger)
    ours = sa.and_(row.endpoint_id.in_(sa.bindparam("endpoint_ids", expanding=True)), row.at > since, row.at <= until)
    return sa.select(*[row[name] for name in _TRAFFIC]).where(ours).order_by(row.at)


async def traffic(tx: Tx, endpoint_ids: Collection[str], since: int, until: int) -> list[TrafficSample]:
    """All that cover any of that time, oldest first."""
    reach = until + SUMMED
    rows = await tx.all(_traffic_of_endpoints(), endpoint_ids=list(endpoint_ids), since=since, until=reach)
    return [TrafficSample(**row) for row in rows if row["at"] - row["span_seconds"] < until]


@cache
def _latest() -> sa.Select[Any]:
    row = usage_samples.c
    of_runtimes = row.runtime_id.in_(sa.bindparam("runtime_ids", expanding=True))
    recent = sa.and_(of_runtimes, row.at > sa.bindparam("since", type_=sa.BigInteger))
    grouped = sa.select(row.runtime_id, row.replica_id, sa.func.max(row.at).label("at")).where(recent)
    last = grouped.group_by(row.runtime_id, row.replica_id).subquery()
    same = [last.c[name] == row[name] for name in ("runtime_id", "replica_id", "at")]
    return sa.select(*[row[name] for name in _USAGE]).join(last, sa.and_(*same))


async def latest(tx: Tx, runtime_ids: Collection[str], since: int) -> dict[str, UsageSample]:
    """Each replica's last sample after `since`, by the replica's id."""
    rows = await tx.all(_latest(), runtime_ids=list(runtime_ids), since=since)
    return {row["replica_id"]: UsageSample(**row) for row in rows}


async def replicas_of(tx: Tx, runtime_id: str, versions: Collection[int]) -> set[str]:
    """Ids of replicas of these versions, past ones included, that have samples."""
    row = usage_samples.c
    query = sa.select(row.replica_id).where(row.runtime_id == runtime_id, row.version.in_(versions)).distinct()
    return {one[0] for one in await tx.tuples(query)}


async def versions_of(tx: Tx, endpoint_id: str, since: int = 0) -> set[int]:
    """Versions that answered something behind this endpoint."""
    row = traffic_samples.c
    query = sa.select(row.version).where(row.endpoint_id == endpoint_id, row.at > since).distinct()
    return {one[0] for one in await tx.tuples(query)}


async def oldest_fresh(tx: Tx) -> int | None:
    """When the oldest sample is from that was not summed up; None without any."""
    times = []
    for table in (usage_samples, traffic_samples):
        row = await tx.first(sa.select(sa.func.min(table.c.at).label("at")).where(table.c.span_seconds < SUMMED))
        times.append(row["at"] if row else None)
    return min((time for time in times if time is not None), default=None)


async def sum_up(tx: Tx, until: int) -> None:
    """Make one of all samples of a replica, or of a version behind an endpoint, in the five minutes before `until`."""
    for table, select in ((usage_samples, _summed_usage()), (traffic_samples, _summed_traffic())):
        row = table.c
        ours = sa.and_(row.span_seconds < SUMMED, row.at > until - SUMMED, row.at <= until)
        made = _upsert(tx.is_sqlite, table).from_select(
            [column.name for column in select.selected_columns], select.where(ours)
        )
        others = {column.name: made.excluded[column.name] for column in row if not column.primary_key}
        await tx.run(
            made.on_conflict_do_update(index_elements=list(table.primary_key), set_=others), end=until, summed=SUMMED
        )
        await tx.run(sa.delete(table).where(ours))


def _end() -> list[sa.ColumnElement[Any]]:
    return [
        sa.cast(sa.bindparam("end"), sa.BigInteger).label("at"),
        sa.cast(sa.bindparam("summed"), sa.Integer).label("span_seconds"),
    ]


def _summed_usage() -> sa.Select[Any]:
    row = usage_samples.c
    cores = sa.func.sum(row.cpu_cores * row.span_seconds) / sa.func.sum(row.span_seconds)
    of = (row.runtime_id, row.replica_id, row.version)
    return sa.select(
        *of, *_end(), cores.label("cpu_cores"), sa.func.max(row.memory_bytes).label("memory_bytes")
    ).group_by(*of)


def _summed_traffic() -> sa.Select[Any]:
    row = traffic_samples.c
    sums = [sa.cast(sa.func.sum(row[name]), sa.BigInteger).label(name) for name in ("requests", "errors")]
    worst = [sa.func.max(row[name]).label(name) for name in ("p50_ms", "p95_ms", "p99_ms")]
    of = (row.endpoint_id, row.version)
    return sa.select(*of, *_end(), *sums, *worst).group_by(*of)


async def forget(tx: Tx, before: int) -> None:
    """Remove what was summed up and is older."""
    for table in (usage_samples, traffic_samples):
        await tx.run(sa.delete(table).where(table.c.span_seconds == SUMMED, table.c.at < before))
