"""Flavors over HTTP: named sizes of a replica. The catalogue is the same in every workspace."""

from datetime import datetime

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from roost_server.api import models
from roost_server.api.context import Api, ApiOf, CallerOf, Cursor, Expected, IdempotentCaller, Limit
from roost_server.api.errors import documented
from roost_server.domain.flavor import Flavor as FlavorRow
from roost_server.operations import flavors

router = APIRouter(tags=["flavors"])


class Flavor(BaseModel):
    id: str
    name: str
    description: str
    cpu_cores: float
    memory_mb: int
    available: bool = Field(description="Whether this machine can hold a replica of this size.")
    revision: int
    created_at: datetime
    updated_at: datetime


class CreateFlavor(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(description="Unique: 1-63 lower-case letters, digits, dots and hyphens, such as `2x4-general`.")
    description: str = Field("", max_length=500)
    cpu_cores: float = Field(ge=0.1, le=128, strict=True, description="CPU cores of one replica.")
    memory_mb: int = Field(ge=64, le=1048576, strict=True, description="Its memory in MiB.")


class UpdateFlavor(BaseModel):
    """What is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")
    description: str | None = Field(None, max_length=500)
    cpu_cores: float | None = Field(None, ge=0.1, le=128, strict=True, description="CPU cores of one replica.")
    memory_mb: int | None = Field(None, ge=64, le=1048576, strict=True, description="Its memory in MiB.")


def _shown(api: Api, row: FlavorRow) -> Flavor:
    values = {name: getattr(row, name) for name in Flavor.model_fields if name != "available"}
    return Flavor(**values, available=api.context.capacity.holds(row.size))


@router.get("/flavors", responses=documented())
async def list_flavors(api: ApiOf, caller: CallerOf, limit: Limit = 50, cursor: Cursor = None) -> models.Page[Flavor]:
    """The sizes that a configuration may name, newest first."""
    found, next_cursor = await flavors.page(api.context, limit, cursor)
    return models.Page(items=[_shown(api, row) for row in found], next_cursor=next_cursor)


@router.post("/flavors", status_code=201, responses=documented(403, 409))
async def create_flavor(body: CreateFlavor, api: ApiOf, caller: IdempotentCaller) -> Flavor:
    """A further size. Only for administrators."""
    row = await flavors.create(api.context, caller, body.name, body.description, body.cpu_cores, body.memory_mb)
    return _shown(api, row)


@router.get("/flavors/{flavor}", responses=documented())
async def get_flavor(flavor: str, api: ApiOf, caller: CallerOf) -> Flavor:
    """One flavor, by id or name."""
    return _shown(api, await flavors.get(api.context, flavor))


@router.patch("/flavors/{flavor}", responses=documented(403, 409))
async def update_flavor(flavor: str, body: UpdateFlavor, api: ApiOf, caller: CallerOf, expected: Expected) -> Flavor:
    """Change a size for versions made from now on; those that were made keep theirs. Only for administrators."""
    values = body.model_dump(exclude_none=True)
    return _shown(api, await flavors.update(api.context, caller, flavor, values, expected))


@router.delete("/flavors/{flavor}", status_code=204, responses=documented(403, 409))
async def delete_flavor(flavor: str, api: ApiOf, caller: CallerOf, expected: Expected) -> Response:
    """New versions cannot be made of it; those that were go on as they are. Only for administrators."""
    await flavors.delete(api.context, caller, flavor, expected)
    return Response(status_code=204)
