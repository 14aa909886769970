"""What AgentBase's callers may see of a runtime's work over HTTP: logs, measurements and events."""

import time
from collections import defaultdict
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query

from roost_server.dialects.agentbase import models, shown
from roost_server.dialects.agentbase.context import CallerOf, EndpointId, Parts, PartsOf, RuntimeId
from roost_server.dialects.agentbase.errors import documented
from roost_server.domain import errors, series
from roost_server.domain.errors import FieldError
from roost_server.domain.log import LogLine, LogQuery
from roost_server.domain.series import Window
from roost_server.engines.engine import Logs
from roost_server.operations import deployments, endpoints, metrics, replicas, runtimes
from roost_server.operations.metrics import Series

router = APIRouter(prefix="/agent-runtimes/{runtime_id}")

COUNTED = 10_000
"""Where counting matching lines ends."""

AT_ONCE = 1000
EVENTS = 100
USUAL_SECONDS = 3600

From = Annotated[models.Time, Query(description="An hour before toTimestamp if left out.")]
To = Annotated[models.Time, Query(description="Now if left out.")]


@router.post("/logs", responses=documented(409))
async def search_agent_runtime_logs(
    runtime_id: RuntimeId, parts: PartsOf, caller: CallerOf, body: models.LogSearchRequest | None = None
) -> models.LogSearchResult:
    """Lines of all the runtime's replicas, past ones included."""
    found = await deployments.get(parts.context, caller, runtime_id)
    return await _search(parts, found.view.runtime.id, body or models.LogSearchRequest(), None)


@router.post("/endpoints/{endpoint_id}/logs", responses=documented(409))
async def search_agent_runtime_endpoint_logs(
    runtime_id: RuntimeId,
    endpoint_id: EndpointId,
    parts: PartsOf,
    caller: CallerOf,
    body: models.LogSearchRequest | None = None,
) -> models.LogSearchResult:
    """Lines of the replicas that stand or stood behind the endpoint."""
    view = await endpoints.get(parts.context, caller, runtime_id, endpoint_id)
    writers = await replicas.behind(parts.context, caller, runtime_id, endpoint_id)
    return await _search(parts, view.runtime.id, body or models.LogSearchRequest(), writers)


async def _search(
    parts: Parts, runtime_id: str, search: models.LogSearchRequest, writers: Collection[str] | None
) -> models.LogSearchResult:
    if not isinstance(parts.engine, Logs):
        raise errors.Conflict("cannot read logs: this installation's engine does not keep them")
    found = await _matching(parts.engine, runtime_id, _query(search, writers))
    first = search.first or 0
    page = found[first : first + (search.limit or 100)]
    logs = [models.LogRecord(timestamp=line.time, content=line.text) for line in page]
    return models.LogSearchResult(totalCount=len(found), logs=logs)


async def _matching(engine: Logs, runtime_id: str, query: LogQuery) -> list[LogLine]:
    """At most as many as are counted."""
    found: list[LogLine] = []
    while len(found) < COUNTED:
        page = await engine.read_logs(runtime_id, query)
        found += page.lines
        if page.next_cursor is None:
            break
        query = replace(query, cursor=page.next_cursor)
    return found


def _query(search: models.LogSearchRequest, writers: Collection[str] | None) -> LogQuery:
    return LogQuery(
        since=search.fromTimestamp,
        until=search.toTimestamp,
        contains=search.query or None,
        replica_ids=writers,
        order="desc" if search.order in ("desc", "DESC") else "asc",
        limit=AT_ONCE,
    )


@router.get("/endpoints/{endpoint_id}/metrics", responses=documented())
async def get_agent_runtime_endpoint_metrics(
    runtime_id: RuntimeId,
    endpoint_id: EndpointId,
    parts: PartsOf,
    caller: CallerOf,
    fromTimestamp: From = None,
    toTimestamp: To = None,
) -> models.AgentRuntimeEndpointMetrics:
    """What the replicas used together that stand or stood behind the endpoint, oldest first."""
    found = await metrics.of_endpoint(
        parts.context, caller, runtime_id, endpoint_id, _window(fromTimestamp, toTimestamp)
    )
    return _together(found)


def _window(since: datetime | None, until: datetime | None) -> Window:
    """Raises `Invalid` for a time that ends before it begins."""
    end = until.timestamp() if until else time.time()
    begin = since.timestamp() if since else end - USUAL_SECONDS
    if begin >= end:
        message = "cannot read metrics: fromTimestamp must be before toTimestamp"
        raise errors.Invalid(message, errors=[FieldError(("fromTimestamp",), message)])
    return series.window(begin, end, None)


def _together(found: Series) -> models.AgentRuntimeEndpointMetrics:
    """The sums over the replicas, step by step."""
    cores: dict[int, float] = defaultdict(float)
    memory: dict[int, int] = defaultdict(int)
    for point in (point for one in found.replicas for point in one.points):
        cores[point.at] += point.cpu_cores
        memory[point.at] += point.memory_bytes
    return models.AgentRuntimeEndpointMetrics(
        cpuCoresUsage=[
            models.MetricDataPointDouble(timestamp=_time(at), value=round(value, 4))
            for at, value in sorted(cores.items())
        ],
        memoryBytesUsage=[
            models.MetricDataPointLong(timestamp=_time(at), value=value) for at, value in sorted(memory.items())
        ],
    )


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@router.get("/endpoints/{endpoint_id}/events", responses=documented())
async def list_agent_runtime_endpoint_events(
    runtime_id: RuntimeId, endpoint_id: EndpointId, parts: PartsOf, caller: CallerOf
) -> list[models.KubeEventDto]:
    """The newest hundred events of the endpoint's runtime, newest first."""
    view = await endpoints.get(parts.context, caller, runtime_id, endpoint_id)
    found, _ = await runtimes.page_events(parts.context, caller, view.runtime.id, EVENTS, None)
    return [shown.happening(event) for event in found]
