"""Logs over HTTP: pages, or a stream when `follow` is set; of a runtime, or of what stands behind one endpoint."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Query, Response
from pydantic import BaseModel

from roost_server.api import models
from roost_server.api.context import Api, ApiOf, CallerOf, Moment
from roost_server.api.errors import documented
from roost_server.api.streams import event_stream
from roost_server.domain import errors
from roost_server.domain.log import LogLine, LogQuery
from roost_server.engines.engine import Logs
from roost_server.operations import replicas, runtimes

router = APIRouter(tags=["logs"])

LOOK_AGAIN_SECONDS = 1.0
"""How soon a replica is looked up again that did not stand behind the endpoint when it wrote."""

Behind = Callable[[], Awaitable[set[str]]]
"""Ids of the replicas behind an endpoint, as it is now."""


class Line(BaseModel):
    time: datetime
    stream: str
    text: str
    replica_id: str


Since = Annotated[Moment | None, Query(description="Only lines from this time on.")]
Until = Annotated[Moment | None, Query(description="Only lines up to this time.")]
Contains = Annotated[str | None, Query(max_length=200, description="Only lines with this text, in any case.")]
Stream = Annotated[Literal["stdout", "stderr"] | None, Query(description="Only lines of this stream.")]
OfReplica = Annotated[str | None, Query(max_length=64, description="Only lines of this replica.")]
Order = Annotated[Literal["asc", "desc"], Query(description="`desc` gives the newest first.")]
LogLimit = Annotated[int, Query(ge=1, le=1000, description="Lines on a page.")]
LogCursor = Annotated[str | None, Query(max_length=500, description="`next_cursor` of the page before.")]
Follow = Annotated[bool, Query(description="Stream new lines as server-sent events.")]
LastEventId = Annotated[str | None, Header(max_length=500, description="Follow on after this event's id.")]
_SSE: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}


def asked(
    since: Since = None,
    until: Until = None,
    contains: Contains = None,
    stream: Stream = None,
    replica: OfReplica = None,
    order: Order = "asc",
    limit: LogLimit = 100,
    cursor: LogCursor = None,
    follow: Follow = False,
    last_event_id: LastEventId = None,
) -> LogQuery:
    """Which lines a request asks for."""
    return LogQuery(
        since=_utc(since),
        until=_utc(until),
        contains=contains or None,
        stream=stream,
        replica_ids=None if replica is None else {replica},
        order=order,
        limit=limit,
        cursor=last_event_id or cursor if follow else cursor,
    )


Asked = Annotated[LogQuery, Depends(asked)]


@router.get("/runtimes/{runtime}/logs", response_model=models.Page[Line], responses={**_SSE, **documented()})
async def read_logs(
    runtime: str, api: ApiOf, caller: CallerOf, query: Asked, follow: Follow = False
) -> models.Page[Line] | Response:
    """Lines of all the runtime's replicas, past ones included. `desc` gives the newest first."""
    view = await runtimes.get(api.context, caller, runtime)
    if follow:
        return await _stream(api, view.runtime.id, query)
    return await _page(api, view.runtime.id, query)


@router.get(
    "/runtimes/{runtime}/endpoints/{endpoint}/logs",
    response_model=models.Page[Line],
    responses={**_SSE, **documented()},
)
async def read_endpoint_logs(
    runtime: str, endpoint: str, api: ApiOf, caller: CallerOf, query: Asked, follow: Follow = False
) -> models.Page[Line] | Response:
    """Lines of the replicas whose versions this endpoint serves or served."""

    async def stands_behind() -> set[str]:
        return await replicas.behind(api.context, caller, view.runtime.id, endpoint)

    view = await runtimes.get(api.context, caller, runtime)
    ids = await stands_behind()
    if follow:
        return await _stream(api, view.runtime.id, query, stands_behind)
    wanted = ids if query.replica_ids is None else ids & set(query.replica_ids)
    return await _page(api, view.runtime.id, replace(query, replica_ids=wanted))


def _engine(api: Api) -> Logs:
    if not isinstance(api.engine, Logs):
        raise errors.Conflict("cannot read logs: this installation's engine does not keep them")
    return api.engine


async def _page(api: Api, runtime_id: str, query: LogQuery) -> models.Page[Line]:
    page = await _engine(api).read_logs(runtime_id, query)
    return models.Page(items=[_line(line) for line in page.lines], next_cursor=page.next_cursor)


async def _stream(api: Api, runtime_id: str, query: LogQuery, stands_behind: Behind | None = None) -> Response:
    """New lines; with `stands_behind`, only of the replicas that it names, which may become more meanwhile."""
    engine = _engine(api)
    if query.cursor is not None:
        await engine.read_logs(runtime_id, replace(query, limit=1))  # a wrong cursor is told before the stream
    elif query.since is None:
        query = await _from_now(engine, runtime_id, query)
    lines = engine.follow_logs(runtime_id, query)
    return event_stream(_events(lines if stands_behind is None else _of(lines, stands_behind)))


async def _from_now(engine: Logs, runtime_id: str, query: LogQuery) -> LogQuery:
    """What is written after the last line that is there now. The engine begins to look when the answer has begun: what
    is written between would be missed if it went by what is there then."""
    last = (await engine.read_logs(runtime_id, LogQuery(order="desc", limit=1))).lines
    return replace(query, cursor=last[0].cursor) if last else replace(query, since=datetime.fromtimestamp(0, UTC))


async def _of(lines: AsyncIterator[LogLine], stands_behind: Behind) -> AsyncIterator[LogLine]:
    """Until the endpoint is deleted."""
    ids: set[str] = set()
    others: dict[str, float] = {}
    async for line in lines:
        if line.replica_id not in ids and time.monotonic() >= others.get(line.replica_id, 0.0):
            try:
                ids = await stands_behind()
            except errors.NotFound:
                return
            others[line.replica_id] = time.monotonic() + LOOK_AGAIN_SECONDS
        if line.replica_id in ids:
            yield line


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def _line(line: LogLine) -> Line:
    return Line(time=line.time, stream=line.stream, text=line.text, replica_id=line.replica_id)


async def _events(lines: AsyncIterator[LogLine]) -> AsyncIterator[tuple[str, Line]]:
    async for line in lines:
        yield line.cursor, _line(line)
