"""Measurements over HTTP: series of a runtime or an endpoint, and how all runtimes do at the moment."""

import time
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from roost_server.api import models
from roost_server.api.context import ApiOf, CallerOf, Cursor, Limit, Moment
from roost_server.api.errors import documented
from roost_server.domain import errors, series
from roost_server.domain.errors import FieldError
from roost_server.domain.series import Window
from roost_server.operations import metrics
from roost_server.operations.metrics import EndpointSeries, Figures, ReplicaSeries, Series

router = APIRouter(tags=["metrics"])

USUAL_SECONDS = 3600

From = Annotated[Moment | None, Query(alias="from", description="An hour before `to` if unset.")]
To = Annotated[Moment | None, Query(description="Now if unset.")]
Step = Annotated[
    int | None,
    Query(ge=1, le=86_400, description="Seconds between points; made larger when more than 1,000 points would come."),
]


class UsagePoint(BaseModel):
    at: datetime = Field(description="The step's beginning.")
    cpu_cores: float = Field(description="The mean of the step.")
    cpu_utilization: float = Field(description="Percent of its limit, as in `autoscaling`.")
    memory_bytes: int = Field(description="The most of the step, without reclaimable cache.")
    memory_utilization: float = Field(description="Percent of its limit.")


class TrafficPoint(BaseModel):
    at: datetime = Field(description="The step's beginning.")
    requests_per_second: float
    error_rate: float = Field(description="Between 0 and 1: answered with 5xx, or not at all.")
    p50_ms: float | None = Field(description="The worst of the step's measurements; null when nothing was timed.")
    p95_ms: float | None
    p99_ms: float | None


class ReplicaMetrics(BaseModel):
    replica_id: str
    version: int
    cpu_limit_cores: float
    memory_limit_bytes: int
    points: list[UsagePoint] = Field(description="Oldest first; none for steps in which it was not there.")


class EndpointMetrics(BaseModel):
    endpoint_id: str
    endpoint: str = Field(description="Its name.")
    version: int
    points: list[TrafficPoint] = Field(description="Oldest first; none for steps without a request.")


class Metrics(BaseModel):
    since: datetime
    until: datetime
    step_seconds: int
    replicas: list[ReplicaMetrics]
    endpoints: list[EndpointMetrics] = Field(description="One item for each version that answered anything.")


class RuntimeFigures(BaseModel):
    """What a runtime's replicas use now, and what its endpoints answered in the last minute."""

    id: str
    name: str
    status: str
    replicas: models.Replicas
    cpu_cores: float
    cpu_limit_cores: float = Field(description="Of all its measured replicas together.")
    memory_bytes: int
    memory_limit_bytes: int
    requests_per_second: float
    error_rate: float
    p95_ms: float | None


@router.get("/metrics", responses=documented())
async def list_figures(
    api: ApiOf, caller: CallerOf, limit: Limit = 50, cursor: Cursor = None
) -> models.Page[RuntimeFigures]:
    """How all runtimes do at the moment, newest first."""
    found, next_cursor = await metrics.page(api.context, caller, limit, cursor)
    return models.Page(items=[_figures(one) for one in found], next_cursor=next_cursor)


@router.get("/runtimes/{runtime}/metrics", responses=documented())
async def runtime_metrics(
    runtime: str, api: ApiOf, caller: CallerOf, since: From = None, to: To = None, step_seconds: Step = None
) -> Metrics:
    """What each replica used, and what each version answered behind each endpoint."""
    return _shown(await metrics.of_runtime(api.context, caller, runtime, _window(since, to, step_seconds)))


@router.get("/runtimes/{runtime}/endpoints/{endpoint}/metrics", responses=documented())
async def endpoint_metrics(
    runtime: str,
    endpoint: str,
    api: ApiOf,
    caller: CallerOf,
    since: From = None,
    to: To = None,
    step_seconds: Step = None,
) -> Metrics:
    """What one endpoint answered, and what the replicas of the versions used that it serves or served in that time."""
    wanted = _window(since, to, step_seconds)
    return _shown(await metrics.of_endpoint(api.context, caller, runtime, endpoint, wanted))


def _window(since: datetime | None, to: datetime | None, step_seconds: int | None) -> Window:
    """Raises `Invalid` for a time that ends before it begins."""
    end = _seconds(to) if to else time.time()
    begin = _seconds(since) if since else end - USUAL_SECONDS
    if begin >= end:
        message = "cannot read metrics: `from` must be before `to`"
        raise errors.Invalid(message, errors=[FieldError(("query", "from"), message)])
    return series.window(begin, end, step_seconds)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _seconds(moment: datetime) -> float:
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH).total_seconds()


def _time(seconds: int) -> datetime:
    return _EPOCH + timedelta(seconds=seconds)


def _shown(found: Series) -> Metrics:
    wanted = found.window
    return Metrics(
        since=_time(wanted.since),
        until=_time(wanted.until),
        step_seconds=wanted.step_seconds,
        replicas=[_replica(one) for one in found.replicas],
        endpoints=[_endpoint(one) for one in found.endpoints],
    )


def _replica(one: ReplicaSeries) -> ReplicaMetrics:
    points = [
        UsagePoint(
            at=_time(point.at),
            cpu_cores=round(point.cpu_cores, 4),
            cpu_utilization=round(point.cpu_utilization, 2),
            memory_bytes=point.memory_bytes,
            memory_utilization=round(point.memory_utilization, 2),
        )
        for point in one.points
    ]
    limits = {"cpu_limit_cores": one.limits.cpu_cores, "memory_limit_bytes": one.limits.memory_bytes}
    return ReplicaMetrics(replica_id=one.replica_id, version=one.version, **limits, points=points)


def _endpoint(one: EndpointSeries) -> EndpointMetrics:
    points = [
        TrafficPoint(
            at=_time(point.at),
            requests_per_second=round(point.requests_per_second, 4),
            error_rate=round(point.error_rate, 4),
            p50_ms=point.p50_ms,
            p95_ms=point.p95_ms,
            p99_ms=point.p99_ms,
        )
        for point in one.points
    ]
    return EndpointMetrics(endpoint_id=one.endpoint.id, endpoint=one.endpoint.name, version=one.version, points=points)


def _figures(one: Figures) -> RuntimeFigures:
    row, count = one.view.runtime, one.view.replicas
    return RuntimeFigures(
        id=row.id,
        name=row.name,
        status=row.status,
        replicas=models.Replicas(wanted=count.wanted, ready=count.ready),
        cpu_cores=round(one.cpu_cores, 4),
        cpu_limit_cores=one.limits.cpu_cores,
        memory_bytes=one.memory_bytes,
        memory_limit_bytes=one.limits.memory_bytes,
        requests_per_second=round(one.requests_per_second, 4),
        error_rate=round(one.error_rate, 4),
        p95_ms=one.p95_ms,
    )
