"""AgentBase's runtimes and their versions over HTTP."""

from fastapi import APIRouter, Response

from roost_server.dialects.agentbase import models, shown, specs
from roost_server.dialects.agentbase.context import (
    CallerOf,
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
from roost_server.operations import deployments, runtimes, service_accounts

router = APIRouter()


@router.post("/agent-runtimes", status_code=201, responses=documented(409))
async def create_agent_runtime(
    body: models.AgentRuntimeCreateRequest, parts: PartsOf, caller: IdempotentCaller
) -> models.AgentRuntimeDto:
    """Create a runtime with its DEFAULT endpoint, and start it."""
    config, access = specs.created(body), specs.guarded(body, Access())
    view, _ = await runtimes.create(parts.context, caller, body.name, body.description, config, access)
    return shown.runtime(await deployments.get(parts.context, caller, view.runtime.id))


@router.get("/agent-runtimes", responses=documented())
async def list_agent_runtimes(
    parts: PartsOf, caller: CallerOf, page: PageNumber = 1, size: PageSize = 10
) -> ListResponse[models.AgentRuntimeDto]:
    """Newest first."""
    found, total = await deployments.page(parts.context, caller, page, size)
    return listed([shown.runtime(one) for one in found], page, size, total)


@router.get("/agent-runtimes/{runtime_id}", responses=documented())
async def get_agent_runtime(runtime_id: RuntimeId, parts: PartsOf, caller: CallerOf) -> models.AgentRuntimeDto:
    """One runtime, with the specification of its latest version."""
    return shown.runtime(await deployments.get(parts.context, caller, runtime_id))


@router.patch("/agent-runtimes/{runtime_id}", responses=documented(409))
async def update_agent_runtime(
    runtime_id: RuntimeId, body: models.AgentRuntimeUpdateRequest, parts: PartsOf, caller: CallerOf
) -> models.AgentRuntimeDto:
    """Replace the whole specification: a new version, which the DEFAULT endpoint then serves."""
    if body.name is not None:
        before = await deployments.get(parts.context, caller, runtime_id)
        _refuse_other_name(body.name, before.view.runtime.name)
    wanted = deployments.Replacement(
        body.description,
        config=lambda before: specs.configured(body, before),
        access=lambda before: specs.guarded(body, before),
    )
    return shown.runtime(await deployments.replace(parts.context, caller, runtime_id, wanted))


def _refuse_other_name(name: str, before: str) -> None:
    if name != before:
        message = f'cannot rename runtime "{before}" to "{name[:100]}": a name stays; create another runtime instead'
        raise errors.Invalid(message, errors=[errors.FieldError(("name",), message, "immutable")])


@router.delete("/agent-runtimes/{runtime_id}", responses=documented(409), response_class=Response)
async def delete_agent_runtime(runtime_id: RuntimeId, parts: PartsOf, caller: CallerOf) -> Response:
    """Remove a runtime with all its versions, endpoints and logs. Irreversible."""
    await runtimes.delete(parts.context, caller, runtime_id, None)
    return Response()


@router.post("/agent-runtimes/{runtime_id}/reset-service-account", responses=documented(409), response_class=Response)
async def reset_agent_runtime_service_account(runtime_id: RuntimeId, parts: PartsOf, caller: CallerOf) -> Response:
    """Another secret for its service account; the one before stops working, and new replicas are given the new one."""
    await service_accounts.reset(parts.context, caller, runtime_id)
    return Response()


router.add_api_route(
    "/agent-runtimes/{runtime_id}/reset-service-account",
    reset_agent_runtime_service_account,
    methods=["PATCH"],
    responses=documented(409),
    response_class=Response,
    operation_id="reset_agent_runtime_service_account_by_patch",
)


@router.get("/agent-runtimes/{runtime_id}/versions", responses=documented())
async def list_agent_runtime_versions(
    runtime_id: RuntimeId, parts: PartsOf, caller: CallerOf, page: PageNumber = 1, size: PageSize = 10
) -> ListResponse[models.AgentRuntimeVersionEntity]:
    """Newest first."""
    deployment, found, total = await deployments.page_versions(parts.context, caller, runtime_id, page, size)
    return listed([shown.version(deployment, row) for row in found], page, size, total)
