"""Tokens of endpoints over HTTP."""

from datetime import datetime

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from roost_server.api.context import ApiOf, CallerOf, IdempotentCaller, Wait
from roost_server.api.errors import documented
from roost_server.api.models import Page
from roost_server.operations import endpoint_tokens, endpoints

router = APIRouter(prefix="/runtimes/{runtime}/endpoints/{endpoint}/tokens", tags=["endpoint tokens"])

LONGEST_SECONDS = 10 * 366 * 24 * 3600


class CreateEndpointToken(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(
        min_length=1,
        max_length=100,
        pattern=r"^[^\x00-\x1f\x7f]+$",
        description="Unique in the endpoint; its holder is called so to the agent.",
    )
    expires_in_seconds: int | None = Field(
        None, ge=1, le=LONGEST_SECONDS, strict=True, description="Good until it is deleted if unset."
    )


class EndpointToken(BaseModel):
    id: str
    name: str
    expires_at: datetime | None
    created_at: datetime


class NewEndpointToken(EndpointToken):
    token: str = Field(description="Send it as `Authorization: Bearer …`. It is shown this once.")


@router.post("", status_code=201, responses=documented(409))
async def create_endpoint_token(
    runtime: str, endpoint: str, body: CreateEndpointToken, api: ApiOf, caller: IdempotentCaller, wait: Wait = 0
) -> NewEndpointToken:
    """A token for callers of an endpoint whose access mode is `token`. `wait` waits until the gateway knows it."""
    name, seconds = body.name, body.expires_in_seconds
    made = await endpoint_tokens.create(api.context, caller, runtime, endpoint, name, seconds)
    if wait:
        await endpoints.wait(api.context, caller, runtime, endpoint, wait, settles=False)
    return NewEndpointToken(**made.row.__dict__, token=made.token)


@router.get("", responses=documented())
async def list_endpoint_tokens(runtime: str, endpoint: str, api: ApiOf, caller: CallerOf) -> Page[EndpointToken]:
    """Oldest first, without the tokens themselves."""
    found = await endpoint_tokens.listed(api.context, caller, runtime, endpoint)
    return Page(items=[EndpointToken.model_validate(row, from_attributes=True) for row in found])


@router.delete("/{token}", status_code=204, responses=documented())
async def delete_endpoint_token(
    runtime: str, endpoint: str, token: str, api: ApiOf, caller: CallerOf, wait: Wait = 0
) -> Response:
    """`wait` waits until the gateway refuses it. A token never changes, so there is no revision to tell."""
    await endpoint_tokens.delete(api.context, caller, runtime, endpoint, token)
    if wait:
        await endpoints.wait(api.context, caller, runtime, endpoint, wait, settles=False)
    return Response(status_code=204)
