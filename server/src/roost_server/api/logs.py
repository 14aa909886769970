"""Logs over HTTP: pages, or a stream when `follow` is set."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Response
from pydantic import BaseModel

from roost_server.api import models
from roost_server.api.context import ApiOf, CallerOf
from roost_server.api.errors import documented
from roost_server.api.streams import event_stream
from roost_server.domain import errors
from roost_server.domain.log import LogLine, LogQuery
from roost_server.engines.engine import Logs
from roost_server.operations import runtimes

router = APIRouter(tags=["logs"])


class Line(BaseModel):
    time: datetime
    stream: str
    text: str
    replica_id: str


Since = Annotated[datetime | None, Query(description="Only lines from this time on.")]
Until = Annotated[datetime | None, Query(description="Only lines up to this time.")]
Contains = Annotated[str | None, Query(max_length=200, description="Only lines with this text, in any case.")]
Stream = Annotated[Literal["stdout", "stderr"] | None, Query(description="Only lines of this stream.")]
Order = Annotated[Literal["asc", "desc"], Query(description="`desc` gives the newest first.")]
LogLimit = Annotated[int, Query(ge=1, le=1000, description="Lines on a page.")]
LogCursor = Annotated[str | None, Query(max_length=500, description="`next_cursor` of the page before.")]
LastEventId = Annotated[str | None, Header(max_length=500, description="Follow on after this event's id.")]
_SSE: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}


@router.get("/runtimes/{runtime}/logs", response_model=models.Page[Line], responses={**_SSE, **documented()})
async def read_logs(
    runtime: str,
    api: ApiOf,
    caller: CallerOf,
    since: Since = None,
    until: Until = None,
    contains: Contains = None,
    stream: Stream = None,
    replica: Annotated[str | None, Query(max_length=64, description="Only lines of this replica.")] = None,
    order: Order = "asc",
    limit: LogLimit = 100,
    cursor: LogCursor = None,
    follow: Annotated[bool, Query(description="Stream new lines as server-sent events.")] = False,
    last_event_id: LastEventId = None,
) -> models.Page[Line] | Response:
    """Lines of all the runtime's replicas, past ones included. `desc` gives the newest first."""
    view = await runtimes.get(api.context, caller, runtime)
    if not isinstance(api.engine, Logs):
        raise errors.Conflict("cannot read logs: this installation's engine does not keep them")
    query = LogQuery(
        since=_utc(since),
        until=_utc(until),
        contains=contains or None,
        stream=stream,
        replica_id=replica,
        order=order,
        limit=limit,
        cursor=last_event_id or cursor if follow else cursor,
    )
    if query.cursor is not None and follow:
        await api.engine.read_logs(view.runtime.id, replace(query, limit=1))  # a wrong cursor is told before the stream
    if follow:
        return event_stream(_events(api.engine.follow_logs(view.runtime.id, query)))
    page = await api.engine.read_logs(view.runtime.id, query)
    return models.Page(items=[_line(line) for line in page.lines], next_cursor=page.next_cursor)


def _utc(time: datetime | None) -> datetime | None:
    return time.replace(tzinfo=UTC) if time is not None and time.tzinfo is None else time


def _line(line: LogLine) -> Line:
    return Line(time=line.time, stream=line.stream, text=line.text, replica_id=line.replica_id)


async def _events(lines: AsyncIterator[LogLine]) -> AsyncIterator[tuple[str, Line]]:
    async for line in lines:
        yield line.cursor, _line(line)
