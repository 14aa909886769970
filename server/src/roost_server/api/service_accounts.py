"""Service accounts over HTTP."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, Field

from roost_server.api.context import Api, ApiOf, CallerOf, Wait
from roost_server.api.errors import documented
from roost_server.operations import runtimes, service_accounts
from roost_server.operations.service_accounts import ServiceAccountView

router = APIRouter(tags=["service accounts"])


class ServiceAccount(BaseModel):
    """Never the secret: replicas find it in their environment."""

    client_id: str
    agent_identity: str = Field(description="The runtime's name.")
    token_url: str = Field(description="Where replicas get access tokens. Others ask `/oauth/token` of this API.")
    created_at: datetime
    updated_at: datetime = Field(description="When the secret was last replaced.")


def _shown(api: Api, view: ServiceAccountView) -> ServiceAccount:
    return ServiceAccount(
        client_id=view.client_id,
        agent_identity=view.agent_identity,
        token_url=f"{api.replicas_url}/oauth/token",
        created_at=view.created_at,
        updated_at=view.updated_at,
    )


@router.get("/runtimes/{runtime}/service-account", responses=documented())
async def get_service_account(runtime: str, api: ApiOf, caller: CallerOf) -> ServiceAccount:
    """What the runtime's replicas prove with who they are."""
    return _shown(api, await service_accounts.get(api.context, caller, runtime))


@router.post("/runtimes/{runtime}/service-account/reset", responses=documented(409))
async def reset_service_account(runtime: str, api: ApiOf, caller: CallerOf, wait: Wait = 0) -> ServiceAccount:
    """Replace the secret: the one before stops working at once, replicas are replaced without downtime."""
    view = await service_accounts.reset(api.context, caller, runtime)
    if wait:
        await runtimes.wait(api.context, caller, view.runtime_id, wait)
    return _shown(api, view)
