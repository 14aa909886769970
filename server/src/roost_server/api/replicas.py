"""Parts of a runtime over HTTP: replicas, versions, endpoints, events."""

from typing import Annotated

from fastapi import APIRouter, Query

from roost_server.api import models
from roost_server.api.context import ApiOf, CallerOf, Cursor, Limit
from roost_server.api.errors import documented
from roost_server.operations import replicas, runtimes

router = APIRouter()


@router.get("/runtimes/{runtime}/replicas", tags=["replicas"], responses=documented())
async def list_replicas(runtime: str, api: ApiOf, caller: CallerOf) -> models.Page[models.Replica]:
    """All replicas, with how long each phase of their start took."""
    found = await replicas.of(api.context, caller, runtime)
    return models.Page(items=[models.replica(row) for row in found])


@router.get(
    "/runtimes/{runtime}/versions",
    tags=["versions"],
    responses=documented(),
    response_model_exclude={"items": {"__all__": {"config": {"build": {"auth": {"password"}}}}}},
)
async def list_versions(
    runtime: str,
    api: ApiOf,
    caller: CallerOf,
    limit: Limit = 50,
    cursor: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="`next_cursor` of the page before.")] = None,
) -> models.Page[models.Version]:
    """Newest first."""
    found, next_cursor = await replicas.page_versions(api.context, caller, runtime, limit, cursor)
    shown = [
        models.Version(version=v.number, config=v.config, image_id=v.image_id, created_at=v.created_at) for v in found
    ]
    return models.Page(items=shown, next_cursor=next_cursor)


@router.get("/runtimes/{runtime}/endpoints", tags=["endpoints"], responses=documented())
async def list_endpoints(runtime: str, api: ApiOf, caller: CallerOf) -> models.Page[models.Endpoint]:
    """All endpoints of a runtime."""
    view = await runtimes.get(api.context, caller, runtime)
    return models.Page(items=[models.endpoint(api, row, view.runtime.version) for row in view.endpoints])


@router.get("/runtimes/{runtime}/events", tags=["events"], responses=documented())
async def list_events(
    runtime: str, api: ApiOf, caller: CallerOf, limit: Limit = 50, cursor: Cursor = None
) -> models.Page[models.Event]:
    """What happened, newest first."""
    found, next_cursor = await runtimes.page_events(api.context, caller, runtime, limit, cursor)
    shown = [models.Event.model_validate(event, from_attributes=True) for event in found]
    return models.Page(items=shown, next_cursor=next_cursor)
