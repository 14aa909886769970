"""Replicas and events of a runtime over HTTP."""

from fastapi import APIRouter

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


@router.get("/runtimes/{runtime}/events", tags=["events"], responses=documented())
async def list_events(
    runtime: str, api: ApiOf, caller: CallerOf, limit: Limit = 50, cursor: Cursor = None
) -> models.Page[models.Event]:
    """What happened, newest first."""
    found, next_cursor = await runtimes.page_events(api.context, caller, runtime, limit, cursor)
    shown = [models.Event.model_validate(event, from_attributes=True) for event in found]
    return models.Page(items=shown, next_cursor=next_cursor)
