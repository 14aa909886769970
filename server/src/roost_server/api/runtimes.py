"""Runtimes over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from roost_server.api import models
from roost_server.api.context import Api, ApiOf, CallerOf, Cursor, Expected, IdempotentCaller, Limit, Wait
from roost_server.api.errors import documented
from roost_server.domain.config import LABEL_KEY, RuntimeConfig
from roost_server.domain.runtime import Status
from roost_server.operations import runtimes
from roost_server.operations.caller import Caller
from roost_server.operations.views import RuntimeView

router = APIRouter(tags=["runtimes"])

Label = Annotated[str, StringConstraints(pattern=f"^{LABEL_KEY.pattern}=", max_length=320)]


class CreateRuntime(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(description="Unique in the workspace: 1-63 lower-case letters, digits and hyphens.")
    description: str = Field("", max_length=500)
    config: RuntimeConfig = Field(default_factory=RuntimeConfig)


class DescribeRuntime(BaseModel):
    model_config = ConfigDict(extra="forbid")
    description: str = Field(max_length=500)


async def _after(api: Api, caller: Caller, view: RuntimeView, wait: float) -> models.Runtime:
    """The runtime as it is after waiting, or as it was asked when it has gone meanwhile."""
    later = await runtimes.wait(api.context, caller, view.runtime.id, wait) if wait else view
    return models.runtime(api, later or view)


@router.post("/runtimes", status_code=201, responses=documented(409))
async def create_runtime(body: CreateRuntime, api: ApiOf, caller: IdempotentCaller, wait: Wait = 0) -> models.Runtime:
    """Create a runtime and start it."""
    view, _ = await runtimes.create(api.context, caller, body.name, body.description, body.config)
    return await _after(api, caller, view, wait)


@router.get("/runtimes", responses=documented())
async def list_runtimes(
    api: ApiOf,
    caller: CallerOf,
    status: Annotated[list[Status] | None, Query(description="Only these; repeat it for several.")] = None,
    label: Annotated[list[Label] | None, Query(description="`key=value`; all given must match.", max_length=16)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> models.Page[models.Runtime]:
    """Newest first."""
    found, next_cursor = await runtimes.page(
        api.context,
        caller,
        statuses=status or [],
        labels=dict(one.split("=", 1) for one in label or []),
        limit=limit,
        cursor=cursor,
    )
    return models.Page(items=[models.runtime(api, view) for view in found], next_cursor=next_cursor)


@router.get("/runtimes/{runtime}", responses=documented())
async def get_runtime(runtime: str, api: ApiOf, caller: CallerOf, wait: Wait = 0) -> models.Runtime:
    """One runtime, by id or name."""
    return await _after(api, caller, await runtimes.get(api.context, caller, runtime), wait)


@router.patch("/runtimes/{runtime}", responses=documented(409))
async def describe_runtime(
    runtime: str, body: DescribeRuntime, api: ApiOf, caller: CallerOf, expected: Expected
) -> models.Runtime:
    """Change the description."""
    view = await runtimes.describe(api.context, caller, runtime, body.description, expected)
    return models.runtime(api, view)


@router.delete(
    "/runtimes/{runtime}",
    status_code=202,
    response_model=models.Runtime,
    responses={**documented(409), 204: {"description": "It is gone already."}},
)
async def delete_runtime(
    runtime: str, api: ApiOf, caller: CallerOf, expected: Expected, wait: Wait = 0
) -> models.Runtime | Response:
    """Remove a runtime with all its versions, endpoints and logs. Irreversible."""
    view = await runtimes.delete(api.context, caller, runtime, expected)
    later = await runtimes.wait(api.context, caller, view.runtime.id, wait) if wait else view
    return Response(status_code=204) if later is None else models.runtime(api, later)


@router.post("/runtimes/{runtime}/start", responses=documented(409))
async def start_runtime(runtime: str, api: ApiOf, caller: CallerOf, wait: Wait = 0) -> models.Runtime:
    """Bring a stopped runtime up again; a failed one tries again at once."""
    return await _after(api, caller, await runtimes.start(api.context, caller, runtime), wait)


@router.post("/runtimes/{runtime}/stop", responses=documented(409))
async def stop_runtime(runtime: str, api: ApiOf, caller: CallerOf, wait: Wait = 0) -> models.Runtime:
    """Stop all replicas; configuration, endpoints and logs are kept."""
    return await _after(api, caller, await runtimes.stop(api.context, caller, runtime), wait)


@router.post("/runtimes/{runtime}/restart", responses=documented(409))
async def restart_runtime(runtime: str, api: ApiOf, caller: CallerOf, wait: Wait = 0) -> models.Runtime:
    """Replace every replica by a new one of the latest version, without downtime."""
    return await _after(api, caller, await runtimes.restart(api.context, caller, runtime), wait)
