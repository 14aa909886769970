"""What AgentBase's callers may see of a runtime's work over HTTP: logs and events."""

from collections.abc import Set
from dataclasses import replace

from fastapi import APIRouter

from roost_server.dialects import agentbase_models as models
from roost_server.dialects import agentbase_shown as shown
from roost_server.dialects.agentbase_context import CallerOf, EndpointId, Parts, PartsOf, RuntimeId
from roost_server.dialects.agentbase_errors import documented
from roost_server.domain import errors
from roost_server.domain.log import LogLine, LogQuery
from roost_server.engines.engine import Logs
from roost_server.operations import deployments, endpoints, runtimes

router = APIRouter(prefix="/agent-runtimes/{runtime_id}")

COUNTED = 10_000
"""Where counting matching lines ends."""

AT_ONCE = 1000
EVENTS = 100


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
    """Lines of the replicas of the version that the endpoint serves, past ones included."""
    view, writers = await deployments.writers(parts.context, caller, runtime_id, endpoint_id)
    return await _search(parts, view.runtime.id, body or models.LogSearchRequest(), writers)


async def _search(
    parts: Parts, runtime_id: str, search: models.LogSearchRequest, writers: Set[str] | None
) -> models.LogSearchResult:
    if not isinstance(parts.engine, Logs):
        raise errors.Conflict("cannot read logs: this installation's engine does not keep them")
    found = await _matching(parts.engine, runtime_id, _query(search), writers)
    first = search.first or 0
    page = found[first : first + (search.limit or 100)]
    logs = [models.LogRecord(timestamp=line.time, content=line.text) for line in page]
    return models.LogSearchResult(totalCount=len(found), logs=logs)


async def _matching(engine: Logs, runtime_id: str, query: LogQuery, writers: Set[str] | None) -> list[LogLine]:
    """Of these replicas, or of all when None; at most about as many as are counted."""
    found: list[LogLine] = []
    while True:
        page = await engine.read_logs(runtime_id, query)
        found += [line for line in page.lines if writers is None or line.replica_id in writers]
        if page.next_cursor is None or len(found) >= COUNTED:
            return found[:COUNTED]
        query = replace(query, cursor=page.next_cursor)


def _query(search: models.LogSearchRequest) -> LogQuery:
    return LogQuery(
        since=search.fromTimestamp,
        until=search.toTimestamp,
        contains=search.query or None,
        order="desc" if search.order in ("desc", "DESC") else "asc",
        limit=AT_ONCE,
    )


@router.get("/endpoints/{endpoint_id}/events", responses=documented())
async def list_agent_runtime_endpoint_events(
    runtime_id: RuntimeId, endpoint_id: EndpointId, parts: PartsOf, caller: CallerOf
) -> list[models.KubeEventDto]:
    """The newest hundred events of the endpoint's runtime, newest first."""
    view = await endpoints.get(parts.context, caller, runtime_id, endpoint_id)
    found, _ = await runtimes.page_events(parts.context, caller, view.runtime.id, EVENTS, None)
    return [shown.happening(event) for event in found]
