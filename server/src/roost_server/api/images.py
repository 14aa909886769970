"""Images over HTTP: list, pull, load, build, push, delete."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from roost_server.api import models, uploads
from roost_server.api.context import ApiOf, CallerOf, Cursor, IdempotentCaller, Limit, Wait
from roost_server.api.errors import documented
from roost_server.domain import errors
from roost_server.domain.config import RegistryAuth
from roost_server.domain.image import ImageSource
from roost_server.operations import images
from roost_server.operations.images import Upload

router = APIRouter(tags=["images"])

Name = Annotated[str, Query(min_length=1, max_length=512, description="The local name, such as `hello-agent`.")]
Offset = Annotated[int, Query(ge=0, le=2**53, description="Bytes to leave out at the beginning.")]
BuildArg = Annotated[str, StringConstraints(pattern="^[^=]+=", max_length=4096)]
_BINARY = {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string"}}}}}
_TEXT: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {}}}}


class PullImage(BaseModel):
    model_config = ConfigDict(extra="forbid")
    reference: str = Field(min_length=1, max_length=512)
    auth: RegistryAuth | None = None


class PushImage(BaseModel):
    model_config = ConfigDict(extra="forbid")
    reference: str = Field(min_length=1, max_length=512, description="With the registry's host.")
    auth: RegistryAuth | None = None


@router.get("/images", responses=documented())
async def list_images(
    api: ApiOf,
    caller: CallerOf,
    reference: Annotated[str | None, Query(max_length=512, description="Only the one of this name.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> models.Page[models.Image]:
    """Newest first."""
    if reference is not None:
        try:
            return models.Page(items=[models.image(await images.get(api.context, caller, reference))])
        except errors.NotFound:
            return models.Page(items=[])
    found, next_cursor = await images.page(api.context, caller, limit, cursor)
    return models.Page(items=[models.image(row) for row in found], next_cursor=next_cursor)


@router.post("/images", status_code=201, responses=documented(409))
async def pull_image(body: PullImage, api: ApiOf, caller: IdempotentCaller, wait: Wait = 0) -> models.Image:
    """Pull an image ahead of its first deploy."""
    row = await images.pull(api.context, caller, body.reference, body.auth)
    return models.image(await images.wait(api.context, caller, row.id, wait))


@router.post("/images/load", status_code=201, responses=documented(409), openapi_extra=_BINARY)
async def load_image(
    request: Request, name: Name, api: ApiOf, caller: IdempotentCaller, wait: Wait = 0
) -> models.Image:
    """Import an oci-archive or docker-archive, sent as the body."""
    folder = await uploads.receive(request, api.uploads, "archive", api.max_upload_bytes)
    upload = Upload(ImageSource.LOAD, {"upload": str(folder), "path": str(folder / "archive")})
    row = await uploads.handed_on(folder, images.add(api.context, caller, name, upload))
    return models.image(await images.wait(api.context, caller, row.id, wait))


@router.post("/images/build", status_code=201, responses=documented(409), openapi_extra=_BINARY)
async def build_image(
    request: Request,
    name: Name,
    api: ApiOf,
    caller: IdempotentCaller,
    dockerfile: Annotated[str, Query(max_length=512, description="Relative to the context.")] = "Dockerfile",
    build_arg: Annotated[list[BuildArg] | None, Query(description="`KEY=value`; repeatable.", max_length=100)] = None,
    wait: Wait = 0,
) -> models.Image:
    """Build a Dockerfile. The body is the context as a tar, compressed or not."""
    folder = await uploads.receive(request, api.uploads, "context.tar", api.max_upload_bytes)
    work = {
        "upload": str(folder),
        "archive": str(folder / "context.tar"),
        "path": str(folder / "context"),
        "log": str(api.uploads / f"{folder.name}.log"),
        "dockerfile": dockerfile,
        "build_args": dict(one.split("=", 1) for one in build_arg or []),
    }
    row = await uploads.handed_on(folder, images.add(api.context, caller, name, Upload(ImageSource.BUILD, work)))
    return models.image(await images.wait(api.context, caller, row.id, wait))


@router.get("/images/{image}", responses=documented())
async def get_image(image: str, api: ApiOf, caller: CallerOf, wait: Wait = 0) -> models.Image:
    """One image, by id or digest; with how far its pull or build is."""
    row = await images.get(api.context, caller, image)
    return models.image(await images.wait(api.context, caller, row.id, wait))


@router.get("/images/{image}/build-log", response_class=Response, responses={**_TEXT, **documented()})
async def get_build_log(image: str, api: ApiOf, caller: CallerOf, offset: Offset = 0) -> Response:
    """The build's output from `offset` (in bytes) on; empty for images not built here."""
    path = await images.log_path(api.context, caller, image)
    return PlainTextResponse(await asyncio.to_thread(_tail, path, offset))


def _tail(path: str | None, offset: int) -> bytes:
    try:
        with Path(path or "").open("rb") as file:
            file.seek(offset)
            return file.read(1 << 20)
    except (FileNotFoundError, IsADirectoryError):
        return b""


@router.delete("/images/{image}", status_code=204, responses=documented(409))
async def delete_image(image: str, api: ApiOf, caller: CallerOf) -> Response:
    """Forget an image; its content is removed when nothing else needs it."""
    await images.delete(api.context, caller, image)
    return Response(status_code=204)


@router.post("/images/{image}/push", status_code=202, responses=documented(409))
async def push_image(image: str, body: PushImage, api: ApiOf, caller: CallerOf, wait: Wait = 0) -> models.Push:
    """Send an image to a registry."""
    push_id = await images.push(api.context, caller, image, body.reference, body.auth)
    return models.push(await images.wait_for_push(api.context, caller, image, push_id, wait))


@router.get("/images/{image}/pushes/{push}", responses=documented())
async def get_push(image: str, push: str, api: ApiOf, caller: CallerOf, wait: Wait = 0) -> models.Push:
    """How a push stands."""
    return models.push(await images.wait_for_push(api.context, caller, image, push, wait))
