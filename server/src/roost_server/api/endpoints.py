"""Endpoints over HTTP."""

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field, field_validator

from roost_server.api import models
from roost_server.api.context import Api, ApiOf, CallerOf, Expected, IdempotentCaller, Wait
from roost_server.api.errors import documented
from roost_server.domain import errors
from roost_server.domain.access import Access
from roost_server.operations import endpoints
from roost_server.operations.caller import Caller
from roost_server.operations.endpoints import Change
from roost_server.operations.views import EndpointView

router = APIRouter(tags=["endpoints"])


class CreateEndpoint(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(description="Unique in the runtime: 1-63 letters, digits and hyphens.")
    version: int | None = Field(None, ge=1, le=2**31 - 1, strict=True, description="Follows the latest if unset.")
    access: Access = Field(default_factory=Access)


class UpdateEndpoint(BaseModel):
    """What is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")
    version: int | None = Field(
        None, ge=1, le=2**31 - 1, strict=True, description="Pin it to this version; null follows the latest."
    )
    split: list[models.Share] | None = Field(
        None, min_length=1, max_length=10, description="Weights that add up to 100, instead of one version."
    )
    default: Literal[True] | None = Field(
        None, description="`true` makes it the default endpoint, which another one then is no longer."
    )
    access: Access | None = Field(None, description="Replaced whole.")

    @field_validator("split")
    @classmethod
    def _each_version_once(cls, split: list[models.Share] | None) -> list[models.Share] | None:
        versions = [share.version for share in split or ()]
        for version in versions:
            if versions.count(version) > 1:
                raise ValueError(f"version {version} is listed more than once")
        return split

    def change(self) -> Change:
        """Raises `Invalid` for a version and a split at once."""
        if self.split is not None and self.version is not None:
            message = "cannot serve one version and split the traffic too: give either version or split"
            raise errors.Invalid(message, errors=[errors.FieldError(("split",), message)])
        follow = "version" in self.model_fields_set and self.version is None and self.split is None
        split = {share.version: share.weight for share in self.split} if self.split else None
        return Change(self.version, follow, split, bool(self.default), self.access)


async def _after(api: Api, caller: Caller, view: EndpointView, wait: float, *, settles: bool = True) -> models.Endpoint:
    if wait:
        view = await endpoints.wait(api.context, caller, view.runtime.id, view.endpoint.id, wait, settles=settles)
    return models.endpoint(api, view)


@router.get("/runtimes/{runtime}/endpoints", responses=documented())
async def list_endpoints(runtime: str, api: ApiOf, caller: CallerOf) -> models.Page[models.Endpoint]:
    """All endpoints of a runtime, oldest first."""
    found = await endpoints.listed(api.context, caller, runtime)
    return models.Page(items=[models.endpoint(api, view) for view in found])


@router.post("/runtimes/{runtime}/endpoints", status_code=201, responses=documented(409))
async def create_endpoint(
    runtime: str, body: CreateEndpoint, api: ApiOf, caller: IdempotentCaller, wait: Wait = 0
) -> models.Endpoint:
    """A further URL, pinned to a version or following the latest."""
    view = await endpoints.create(api.context, caller, runtime, body.name, body.version, body.access)
    return await _after(api, caller, view, wait)


@router.get("/runtimes/{runtime}/endpoints/{endpoint}", responses=documented())
async def get_endpoint(runtime: str, endpoint: str, api: ApiOf, caller: CallerOf, wait: Wait = 0) -> models.Endpoint:
    """One endpoint, by id or name."""
    return await _after(api, caller, await endpoints.get(api.context, caller, runtime, endpoint), wait)


@router.patch("/runtimes/{runtime}/endpoints/{endpoint}", responses=documented(409))
async def update_endpoint(
    runtime: str,
    endpoint: str,
    body: UpdateEndpoint,
    api: ApiOf,
    caller: CallerOf,
    expected: Expected,
    wait: Wait = 0,
) -> models.Endpoint:
    """Re-point it, split its traffic, change who may call it, or make it the default.

    `wait` waits for the versions that it is to serve when they are named; otherwise only for the gateway."""
    change = body.change()
    view = await endpoints.update(api.context, caller, runtime, endpoint, change, expected)
    return await _after(api, caller, view, wait, settles=change.re_points)


@router.delete("/runtimes/{runtime}/endpoints/{endpoint}", status_code=204, responses=documented(409))
async def delete_endpoint(
    runtime: str, endpoint: str, api: ApiOf, caller: CallerOf, expected: Expected, wait: Wait = 0
) -> Response:
    """`wait` waits until its URL answers 404. The default endpoint cannot be deleted."""
    await endpoints.delete(api.context, caller, runtime, endpoint, expected)
    if wait:
        await endpoints.wait(api.context, caller, runtime, None, wait, settles=False)
    return Response(status_code=204)


@router.post("/runtimes/{runtime}/endpoints/{endpoint}/start", responses=documented(409))
async def start_endpoint(runtime: str, endpoint: str, api: ApiOf, caller: CallerOf, wait: Wait = 0) -> models.Endpoint:
    """Serve again."""
    return await _after(api, caller, await endpoints.start(api.context, caller, runtime, endpoint), wait)


@router.post("/runtimes/{runtime}/endpoints/{endpoint}/stop", responses=documented(409))
async def stop_endpoint(runtime: str, endpoint: str, api: ApiOf, caller: CallerOf, wait: Wait = 0) -> models.Endpoint:
    """Answer 503 and give its replicas up, unless other endpoints need them."""
    return await _after(api, caller, await endpoints.stop(api.context, caller, runtime, endpoint), wait)
