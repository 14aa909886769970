"""AgentBase's endpoints over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from roost_server.dialects.agentbase import models, shown
from roost_server.dialects.agentbase.context import (
    CallerOf,
    EndpointId,
    IdempotentCaller,
    ListResponse,
    PageNumber,
    PageSize,
    PartsOf,
    RuntimeId,
    listed,
)
from roost_server.dialects.agentbase.errors import documented
from roost_server.domain import errors
from roost_server.domain.access import Access
from roost_server.operations import deployments, endpoints
from roost_server.operations.endpoints import Change

router = APIRouter(prefix="/agent-runtimes/{runtime_id}/endpoints")

VersionQuery = Annotated[int | None, Query(ge=1, le=models.VERSION_MAX, description="The version to point it to.")]


@router.get("", responses=documented())
async def list_agent_runtime_endpoints(
    runtime_id: RuntimeId, parts: PartsOf, caller: CallerOf, page: PageNumber = 1, size: PageSize = 10
) -> ListResponse[models.AgentRuntimeEndpointDto]:
    """Oldest first."""
    found, total = await deployments.page_endpoints(parts.context, caller, runtime_id, page, size)
    return listed([shown.endpoint(parts, view) for view in found], page, size, total)


@router.post("", status_code=201, responses=documented(409))
async def create_agent_runtime_endpoint(
    runtime_id: RuntimeId, body: models.AgentRuntimeEndpointCreateRequest, parts: PartsOf, caller: IdempotentCaller
) -> models.AgentRuntimeEndpointDto:
    """A further URL, pinned to a version."""
    version = body.version
    if version is None:
        there = await deployments.get(parts.context, caller, runtime_id)
        version = there.view.runtime.applied_version
    view = await endpoints.create(parts.context, caller, runtime_id, body.name, version, Access())
    return shown.endpoint(parts, view)


@router.get("/{endpoint_id}", responses=documented())
async def get_agent_runtime_endpoint(
    runtime_id: RuntimeId, endpoint_id: EndpointId, parts: PartsOf, caller: CallerOf
) -> models.AgentRuntimeEndpointDto:
    """One endpoint."""
    return shown.endpoint(parts, await endpoints.get(parts.context, caller, runtime_id, endpoint_id))


@router.put("/{endpoint_id}", responses=documented(409))
async def point_agent_runtime_endpoint(
    runtime_id: RuntimeId,
    endpoint_id: EndpointId,
    parts: PartsOf,
    caller: CallerOf,
    version: VersionQuery = None,
    body: models.AgentRuntimeEndpointUpdateRequest | None = None,
) -> models.AgentRuntimeEndpointDto:
    """Point it to a version. DEFAULT too: pointing it to an older one is how to roll back."""
    change = Change(version=_asked_version(version, body))
    view = await endpoints.update(parts.context, caller, runtime_id, endpoint_id, change, None)
    return shown.endpoint(parts, view)


router.add_api_route(
    "/{endpoint_id}",
    point_agent_runtime_endpoint,
    methods=["PATCH"],
    responses=documented(409),
    operation_id="point_agent_runtime_endpoint_by_patch",
)


def _asked_version(in_query: int | None, body: models.AgentRuntimeEndpointUpdateRequest | None) -> int:
    """The version that was named, in the query or in the body. Raises `BadRequest` for none, or two."""
    named = {number for number in (in_query, body.version if body else None) if number is not None}
    if len(named) != 1:
        why = "two different ones are named" if named else "name the version to point the endpoint to, as ?version=N"
        raise errors.BadRequest(f"cannot accept version: {why}", errors=[errors.FieldError(("version",), why)])
    return named.pop()


@router.delete("/{endpoint_id}", responses=documented(409))
async def delete_agent_runtime_endpoint(
    runtime_id: RuntimeId, endpoint_id: EndpointId, parts: PartsOf, caller: CallerOf
) -> models.AgentRuntimeEndpointDto:
    """Its URL answers 404 from then on. DEFAULT cannot be deleted. Answers with what it was."""
    view = await endpoints.get(parts.context, caller, runtime_id, endpoint_id)
    await endpoints.delete(parts.context, caller, runtime_id, endpoint_id, None)
    return shown.endpoint(parts, view).model_copy(update={"status": "DELETING", "displayStatus": "DELETING"})


@router.post("/{endpoint_id}/start", responses=documented(409), response_class=Response)
async def start_agent_runtime_endpoint(
    runtime_id: RuntimeId, endpoint_id: EndpointId, parts: PartsOf, caller: CallerOf
) -> Response:
    """Serve again. Of a stopped runtime, this starts the runtime too."""
    await endpoints.start(parts.context, caller, runtime_id, endpoint_id)
    return Response()


@router.post("/{endpoint_id}/stop", responses=documented(409), response_class=Response)
async def stop_agent_runtime_endpoint(
    runtime_id: RuntimeId, endpoint_id: EndpointId, parts: PartsOf, caller: CallerOf
) -> Response:
    """Answer 503 and give its replicas up, unless other endpoints need them."""
    await endpoints.stop(parts.context, caller, runtime_id, endpoint_id)
    return Response()
