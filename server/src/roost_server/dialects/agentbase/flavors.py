"""AgentBase's catalogue of sizes over HTTP, on both of its paths."""

from typing import Annotated

from fastapi import APIRouter, Query

from roost_server.dialects.agentbase import models, shown
from roost_server.dialects.agentbase.context import CallerOf, PartsOf
from roost_server.dialects.agentbase.errors import documented
from roost_server.store import flavors

router = APIRouter()


@router.get("/flavors", responses=documented())
async def list_agent_runtime_flavors(
    parts: PartsOf,
    caller: CallerOf,
    resourceType: Annotated[str | None, Query(max_length=100, description="Only flavors for such resources.")] = None,
) -> list[models.FlavorEntity]:
    """The smallest first; enabled are those that this machine can hold."""
    capacity = parts.context.capacity
    async with parts.context.store.read() as tx:
        found = [shown.flavor(row, is_available=capacity.holds(row.size)) for row in await flavors.everything(tx)]
    return [one for one in found if resourceType is None or resourceType in one.supportedResourceTypes]


router.add_api_route(
    "/v1/flavors",
    list_agent_runtime_flavors,
    methods=["GET"],
    responses=documented(),
    operation_id="list_agent_runtime_flavors_v1",
)
