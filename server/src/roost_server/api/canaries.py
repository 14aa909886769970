"""Canaries over HTTP."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from roost_server.api import models
from roost_server.api.context import Api, ApiOf, CallerOf, Cursor, Expected, IdempotentCaller, Limit
from roost_server.api.errors import documented
from roost_server.domain.canary import NOTHING, CanaryStatus, Terms
from roost_server.domain.traffic import Counts
from roost_server.operations import canaries, canary_moves
from roost_server.operations.caller import Caller
from roost_server.operations.canaries import CanaryView

router = APIRouter(tags=["canaries"])

NUMBER_MAX = 2**31 - 1
UntilEnded = Annotated[
    float, Query(ge=0, le=300, description="Wait up to this many seconds until it has ended, also for the gateway.")
]
_DEFAULT = Terms()


class StartCanary(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    to: int = Field(ge=1, le=NUMBER_MAX, strict=True, description="The version that takes over.")
    endpoint: str | None = Field(None, description="Its id or name; the default one if unset.")
    steps: list[Annotated[int, Field(strict=True)]] = Field(
        list(_DEFAULT.steps), max_length=100, description="Percents of the traffic, each larger than the last, to 100."
    )
    interval_seconds: float = Field(
        _DEFAULT.interval_seconds, ge=0, le=604_800, strict=True, description="How long each step lasts at least."
    )
    max_error_rate: float = Field(
        _DEFAULT.max_error_rate, ge=0, le=1, strict=True, description="The share of its requests that may fail."
    )
    max_p95_ratio: float = Field(
        _DEFAULT.max_p95_ratio, ge=1, le=1000, strict=True, description="Its 95th percentile against the old version's."
    )
    min_requests: int = Field(
        _DEFAULT.min_requests, ge=0, le=1_000_000, strict=True, description="That it must have had in each step."
    )

    def terms(self) -> Terms:
        limits = {"max_error_rate": self.max_error_rate, "max_p95_ratio": self.max_p95_ratio}
        return Terms(tuple(self.steps), self.interval_seconds, min_requests=self.min_requests, **limits)


class Figures(BaseModel):
    version: int
    weight: int = Field(description="Percent of the requests that it serves, or that it had when the canary ended.")
    requests: int
    errors: int
    error_rate: float = Field(description="Between 0 and 1; 0 without requests.")
    p95_ms: float | None = Field(description="95 % of the requests took no longer; null without any.")


class Canary(BaseModel):
    id: str
    endpoint: str = Field(description="Its name.")
    endpoint_id: str
    from_version: int
    to_version: int
    steps: list[int]
    interval_seconds: float
    max_error_rate: float
    max_p95_ratio: float
    min_requests: int
    status: CanaryStatus
    message: str | None = Field(description="What it waits for, or how it ended.")
    step: int = Field(description="The step under way, or the last one that was: 0 is the first.")
    weight: int = Field(description="Percent that the new version has, or is to have, in this step.")
    step_since: datetime | None = Field(description="Since when the step's weight holds; null while it does not.")
    old: Figures = Field(description="Counted in this step; until its weight holds, still in the one before.")
    new: Figures
    revision: int
    created_at: datetime
    updated_at: datetime


def _shown(view: CanaryView) -> Canary:
    row = view.canary
    judged = row.judged or NOTHING

    weights = row.outcome if row.has_ended else view.endpoint.live

    def figures(version: int, counts: Counts) -> Figures:
        return Figures(version=version, weight=weights.get(version, 0), **canary_moves.figures(counts))

    names = ("id", "endpoint_id", "from_version", "to_version", "interval_seconds", "max_error_rate", "max_p95_ratio")
    more = ("min_requests", "status", "message", "step", "weight", "step_since", "revision", "created_at", "updated_at")
    return Canary(
        **{name: getattr(row, name) for name in (*names, *more)},
        endpoint=view.endpoint.name,
        steps=list(row.steps),
        old=figures(row.from_version, judged.old),
        new=figures(row.to_version, judged.new),
    )


async def _after(api: Api, caller: Caller, view: CanaryView, wait: float) -> Canary:
    if wait:
        view = await canaries.wait(api.context, caller, view.runtime.id, view.canary.id, wait)
    return _shown(view)


@router.post("/runtimes/{runtime}/canaries", status_code=201, responses=documented(409))
async def start_canary(
    runtime: str, body: StartCanary, api: ApiOf, caller: IdempotentCaller, wait: UntilEnded = 0
) -> Canary:
    """Give a version a growing share of an endpoint's traffic, for as long as it does as well as the old one."""
    view = await canaries.start(api.context, caller, runtime, body.to, body.endpoint, body.terms())
    return await _after(api, caller, view, wait)


@router.get("/runtimes/{runtime}/canaries", responses=documented())
async def list_canaries(
    runtime: str, api: ApiOf, caller: CallerOf, limit: Limit = 50, cursor: Cursor = None
) -> models.Page[Canary]:
    """Newest first."""
    found, next_cursor = await canaries.page(api.context, caller, runtime, limit, cursor)
    return models.Page(items=[_shown(view) for view in found], next_cursor=next_cursor)


@router.get("/runtimes/{runtime}/canaries/{canary}", responses=documented(409))
async def get_canary(runtime: str, canary: str, api: ApiOf, caller: CallerOf, wait: UntilEnded = 0) -> Canary:
    """One canary, by id; `current` is the one under way, or the last one."""
    return await _after(api, caller, await canaries.get(api.context, caller, runtime, canary), wait)


@router.post("/runtimes/{runtime}/canaries/{canary}/pause", responses=documented(409))
async def pause_canary(
    runtime: str, canary: str, api: ApiOf, caller: CallerOf, expected: Expected, wait: UntilEnded = 0
) -> Canary:
    """Keep its weight where it is; it is still rolled back when it does worse."""
    return await _after(api, caller, await canaries.pause(api.context, caller, runtime, canary, expected), wait)


@router.post("/runtimes/{runtime}/canaries/{canary}/resume", responses=documented(409))
async def resume_canary(
    runtime: str, canary: str, api: ApiOf, caller: CallerOf, expected: Expected, wait: UntilEnded = 0
) -> Canary:
    """Let a paused one go on."""
    return await _after(api, caller, await canaries.resume(api.context, caller, runtime, canary, expected), wait)


@router.post("/runtimes/{runtime}/canaries/{canary}/promote", responses=documented(409))
async def promote_canary(
    runtime: str, canary: str, api: ApiOf, caller: CallerOf, expected: Expected, wait: UntilEnded = 0
) -> Canary:
    """All traffic to the new version as soon as it has the replicas for it."""
    return await _after(api, caller, await canaries.promote(api.context, caller, runtime, canary, expected), wait)


@router.post("/runtimes/{runtime}/canaries/{canary}/abort", responses=documented(409))
async def abort_canary(
    runtime: str, canary: str, api: ApiOf, caller: CallerOf, expected: Expected, wait: UntilEnded = 0
) -> Canary:
    """All traffic back to the old version, at once."""
    return await _after(api, caller, await canaries.abort(api.context, caller, runtime, canary, expected), wait)


@router.post("/runtimes/{runtime}/canaries/{canary}/retry", status_code=201, responses=documented(409))
async def retry_canary(
    runtime: str, canary: str, api: ApiOf, caller: IdempotentCaller, expected: Expected, wait: UntilEnded = 0
) -> Canary:
    """A new canary with the same parameters as one that was rolled back or aborted."""
    return await _after(api, caller, await canaries.retry(api.context, caller, runtime, canary, expected), wait)
