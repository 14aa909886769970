"""What callers may do with images."""

from dataclasses import dataclass
from typing import Any

from roost_server.domain import errors
from roost_server.domain import image as references
from roost_server.domain.config import RegistryAuth
from roost_server.domain.image import Image, ImageSource, ImageStatus
from roost_server.operations import idempotency, sources, waiting
from roost_server.operations.caller import Caller
from roost_server.operations.context import Context
from roost_server.store import events, images, workspaces
from roost_server.store.images import Push
from roost_server.store.store import Tx


@dataclass(frozen=True)
class Upload:
    """Files a caller sent: `work` is what the images reconciler needs to make an image of them."""

    source: ImageSource
    work: dict[str, Any]


async def page(context: Context, caller: Caller, limit: int, cursor: str | None) -> tuple[list[Image], str | None]:
    async with context.store.read() as tx:
        return await images.page(tx, caller.workspace_id, limit, cursor)


async def get(context: Context, caller: Caller, name: str) -> Image:
    """By id, digest or reference. Raises `NotFound`."""
    async with context.store.read() as tx:
        found = await images.find(tx, caller.workspace_id, name) or await images.find(
            tx, caller.workspace_id, f"{name}:latest"
        )
    if found is None:
        raise errors.NotFound(f'cannot find image "{name[:200]}"')
    return found


async def pull(context: Context, caller: Caller, reference: str, auth: RegistryAuth | None) -> Image:
    """Fetch an image ahead of its first deploy. Asking for the builtin gives the one that Roost makes by itself."""
    references.parse(reference, ("reference",))
    if reference == references.BUILTIN:
        async with context.store.write() as tx:
            return await sources.retry_builtin(tx)
    return (await _insert(context, caller, reference, ImageSource.PULL, auth=auth))[0]


async def add(context: Context, caller: Caller, reference: str, upload: Upload) -> tuple[Image, bool]:
    """Make an image of uploaded files, under a local name; and whether this request did, so that it needs the files."""
    name = references.parse(reference, ("query", "name")).name
    return await _insert(context, caller, name, upload.source, work=upload.work)


async def _insert(
    context: Context, caller: Caller, reference: str, source: ImageSource, **values: Any
) -> tuple[Image, bool]:
    async with context.store.write() as tx:
        await workspaces.take_turn(tx, caller.workspace_id)
        earlier = await idempotency.earlier(tx, caller)
        if earlier is not None:
            return await _again(tx, earlier), False
        image = await images.insert(tx, caller.workspace_id, reference, source, cipher=context.cipher, **values)
        await idempotency.remember(tx, caller, image.id)
        await events.record_action(tx, caller.workspace_id, None, f"image.{source}", caller.actor, caller.request_id)
        return image, True


async def _again(tx: Tx, image_id: str) -> Image:
    image = await images.get(tx, image_id)
    if image is None:
        raise idempotency.gone("image")
    return image


async def delete(context: Context, caller: Caller, name: str) -> None:
    """Raises `Conflict` while a version runs it; the builtin stays."""
    image = await get(context, caller, name)
    if image.source == ImageSource.BUILTIN:
        raise errors.Conflict(f"cannot delete {image.reference}: Roost needs it")
    async with context.store.write() as tx:
        await workspaces.take_turn(tx, caller.workspace_id)
        if await images.is_used(tx, image.id):
            raise errors.Conflict(f"cannot delete image {image.reference}: a runtime's version uses it")
        await images.delete(tx, image.id)
        await events.record_action(tx, caller.workspace_id, None, "image.delete", caller.actor, caller.request_id)


async def push(context: Context, caller: Caller, name: str, reference: str, auth: RegistryAuth | None) -> str:
    """Send a ready image to a registry; the push's id."""
    parsed = references.parse(reference, ("reference",))
    if parsed.host is None or parsed.digest is not None:
        message = f'cannot push to "{reference}": name the registry, as in registry.example.com/team/agent:v1'
        raise errors.Invalid(message, errors=[errors.FieldError(("reference",), message)])
    image = await get(context, caller, name)
    if image.status != ImageStatus.READY:
        raise errors.Conflict(f"cannot push {image.reference}: it is {image.status}")
    async with context.store.write() as tx:
        await events.record_action(tx, caller.workspace_id, None, "image.push", caller.actor, caller.request_id)
        return await images.insert_push(tx, image, reference, auth, context.cipher)


async def get_push(context: Context, caller: Caller, name: str, push_id: str) -> Push:
    """Raises `NotFound`."""
    image = await get(context, caller, name)
    async with context.store.read() as tx:
        found = await images.push_work(tx, push_id, context.cipher)
    if found is None or found.image_id != image.id:
        raise errors.NotFound(f'cannot find push "{push_id[:100]}" of image "{name[:200]}"')
    return found


async def wait(context: Context, caller: Caller, image_id: str, seconds: float) -> Image:
    """The image once it is ready or failed, or as it is after `seconds`."""
    ended = (ImageStatus.READY, ImageStatus.FAILED)
    return await waiting.until(
        context.store.nudges,
        "image_changes",
        lambda: get(context, caller, image_id),
        lambda image: image.status in ended,
        seconds,
    )


async def wait_for_push(context: Context, caller: Caller, name: str, push_id: str, seconds: float) -> Push:
    """The push once it has ended, or as it is after `seconds`."""
    return await waiting.until(
        context.store.nudges,
        "image_changes",
        lambda: get_push(context, caller, name, push_id),
        lambda push: push.status in ("ready", "failed"),
        seconds,
    )


async def log_path(context: Context, caller: Caller, name: str) -> str | None:
    """Where the build's output is; None for an image that was not built here."""
    image = await get(context, caller, name)
    async with context.store.read() as tx:
        work, _ = await images.work_of(tx, image.id, context.cipher)
    return work.get("log")
