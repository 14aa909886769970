"""Versions over HTTP: the configuration, what it was before, and what changed."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from roost_server.api import models
from roost_server.api.context import ApiOf, CallerOf, Expected, Limit, Wait
from roost_server.api.errors import documented
from roost_server.domain.config import RuntimeConfig
from roost_server.operations import runtimes, versions

router = APIRouter(tags=["versions"])

_PASSWORD: Any = {"config": {"build": {"auth": {"password"}}}}
NUMBER_MAX = 2**31 - 1
Number = Annotated[int, Path(ge=1, le=NUMBER_MAX)]
Apply = Annotated[
    Literal["now", "next_start"],
    Query(description="`next_start` only records the version; the next start, restart or canary applies it."),
]


class Config(BaseModel):
    model_config = ConfigDict(extra="forbid")
    config: RuntimeConfig


class Change(BaseModel):
    was: Any = Field(description="The other version's value.")
    now: Any = Field(description="This version's value.")


class Difference(BaseModel):
    version: int
    other: int
    changes: dict[str, Change] = Field(description="By the field's dotted path.")


@router.get("/runtimes/{runtime}/config", responses=documented(), response_model_exclude=_PASSWORD)
async def get_config(runtime: str, api: ApiOf, caller: CallerOf, response: Response) -> Config:
    """The latest version's configuration, complete."""
    row, config = await versions.get_config(api.context, caller, runtime)
    response.headers["ETag"] = f'"{row.revision}"'
    return Config(config=config)


@router.put("/runtimes/{runtime}/config", responses=documented(409), response_model_exclude=_PASSWORD)
async def replace_config(
    runtime: str,
    body: Config,
    api: ApiOf,
    caller: CallerOf,
    expected: Expected,
    response: Response,
    apply: Apply = "now",
    wait: Wait = 0,
) -> Config:
    """Replace the configuration; omitted fields return to their defaults. Always makes a new version."""
    row = await versions.replace_config(api.context, caller, runtime, body.config, expected, apply=apply == "now")
    if wait:
        await runtimes.wait(api.context, caller, row.id, wait)
    response.headers["ETag"] = f'"{row.revision}"'
    return body


@router.get(
    "/runtimes/{runtime}/versions",
    responses=documented(),
    response_model_exclude={"items": {"__all__": _PASSWORD}},
)
async def list_versions(
    runtime: str,
    api: ApiOf,
    caller: CallerOf,
    limit: Limit = 50,
    cursor: Annotated[int | None, Query(ge=1, le=NUMBER_MAX, description="`next_cursor` of the page before.")] = None,
) -> models.Page[models.Version]:
    """Newest first."""
    found, next_cursor = await versions.page(api.context, caller, runtime, limit, cursor)
    return models.Page(items=[models.version(row) for row in found], next_cursor=next_cursor)


@router.get("/runtimes/{runtime}/versions/{number}", responses=documented(), response_model_exclude=_PASSWORD)
async def get_version(runtime: str, number: Number, api: ApiOf, caller: CallerOf) -> models.Version:
    """One version."""
    return models.version(await versions.get(api.context, caller, runtime, number))


@router.get("/runtimes/{runtime}/versions/{number}/diff", responses=documented())
async def diff_versions(
    runtime: str,
    number: Number,
    api: ApiOf,
    caller: CallerOf,
    other: Annotated[int, Query(ge=1, le=NUMBER_MAX, description="The version to compare with.")],
) -> Difference:
    """What is different in this version, against another one."""
    found = await versions.diff(api.context, caller, runtime, number, other)
    changes = {path: Change(was=both["from"], now=both["to"]) for path, both in found.items()}
    return Difference(version=number, other=other, changes=changes)
