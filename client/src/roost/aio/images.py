"""The images of a workspace: list, get, pull, load, build, push, delete."""

from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

from roost import calls, files, models, waiting
from roost.aio.transport import AsyncTransport
from roost.calls import Call
from roost.config import RegistryAuth
from roost.errors import NotFoundError
from roost.files import LineReader, OnProgress
from roost.waiting import Deadline

OnLine = Callable[[str], None]


def _ignore(line: str) -> None:
    """The output nobody asked for."""


def _auth(username: str | None, password: str | None) -> RegistryAuth | None:
    return {"username": username, "password": password} if username else None


class AsyncImages:
    """Images are named by id, digest or reference; `latest` may be left out."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    def list(self) -> AsyncIterator[models.Image]:
        """All images, newest first."""
        return self._transport.items(models.Image, calls.get("/images", limit=100))

    async def get(self, name: str) -> models.Image:
        """One image. Raises `NotFoundError`."""
        if "/" not in name:
            return await self._transport.read(models.Image, calls.get(calls.path("images", name)))
        async for image in self._transport.items(models.Image, calls.get("/images", reference=name)):
            return image
        raise NotFoundError(f'cannot find image "{name}"')

    async def pull(
        self,
        reference: str,
        *,
        username: str | None = None,
        password: str | None = None,
        wait: bool = True,
        timeout: float | None = 600.0,
        on_progress: OnProgress | None = None,
    ) -> models.Image:
        """Fetch an image ahead of its first deploy. Raises `ImageFailed`, `WaitTimeout`."""
        deadline = Deadline(timeout, watched=on_progress is not None)
        body = {"reference": reference, "auth": _auth(username, password)}
        image = await self._transport.read(models.Image, calls.create("/images", body))
        return await self._settle(image, deadline, on_progress) if wait else image

    async def load(
        self,
        path: str | Path,
        name: str,
        *,
        wait: bool = True,
        timeout: float | None = 600.0,
        on_progress: OnProgress | None = None,
    ) -> models.Image:
        """Import an oci-archive or docker-archive, compressed or not. Raises `ImageFailed`, `WaitTimeout`."""
        deadline = Deadline(timeout, watched=on_progress is not None)
        call = calls.create("/images/load", body=files.archive(Path(path), on_progress), name=name)
        image = await self._transport.read(models.Image, call)
        return await self._settle(image, deadline, on_progress) if wait else image

    async def build(
        self,
        directory: str | Path,
        name: str,
        *,
        dockerfile: str = "Dockerfile",
        build_args: Mapping[str, str] | None = None,
        timeout: float | None = 1800.0,
        on_line: OnLine | None = None,
        on_progress: OnProgress | None = None,
    ) -> models.Image:
        """Build a directory's Dockerfile and wait for the image.

        What .dockerignore names is not sent. `on_line` gets the build's output line by line, `on_progress` how much
        has been sent. Raises `ImageFailed`, `WaitTimeout`.
        """
        deadline = Deadline(timeout, watched=True)
        body = files.context(Path(directory), dockerfile, on_progress)
        arguments = [f"{key}={value}" for key, value in (build_args or {}).items()]
        call = calls.create("/images/build", body=body, name=name, dockerfile=dockerfile, build_arg=arguments)
        image = await self._transport.read(models.Image, call)
        return await self._follow_build(image, deadline, on_line or _ignore)

    async def push(
        self,
        name: str,
        reference: str,
        *,
        username: str | None = None,
        password: str | None = None,
        wait: bool = True,
        timeout: float | None = 600.0,
    ) -> models.Push:
        """Send an image to a registry. Raises `PushFailed`, `WaitTimeout`."""
        deadline = Deadline(timeout)
        image = await self.get(name)
        body = {"reference": reference, "auth": _auth(username, password)}
        call = Call("POST", calls.path("images", image.id, "push"), json=body)
        push = await self._transport.read(models.Push, call)
        while wait and not waiting.push_is_settled(push, deadline):
            path = calls.path("images", image.id, "pushes", push.id)
            push = await self._transport.read(models.Push, calls.get(path, wait=deadline.slice()))
        return push

    async def delete(self, name: str) -> None:
        """Forget an image. Raises `NotFoundError`, and `ConflictError` while a runtime's version uses it."""
        image = await self.get(name)
        await self._transport.send(calls.delete(calls.path("images", image.id)))

    async def _settle(self, image: models.Image, deadline: Deadline, on_progress: OnProgress | None) -> models.Image:
        while True:
            if on_progress is not None:
                on_progress(waiting.progress_of(image))
            if waiting.image_is_settled(image, deadline):
                return image
            image = await self._again(image, deadline)

    async def _again(self, image: models.Image, deadline: Deadline) -> models.Image:
        return await self._transport.read(
            models.Image, calls.get(calls.path("images", image.id), wait=deadline.slice())
        )

    async def _follow_build(self, image: models.Image, deadline: Deadline, on_line: OnLine) -> models.Image:
        """The image is looked at before the output is read, so that the last lines are never missed."""
        lines, offset = LineReader(on_line), 0
        while True:
            path = calls.path("images", image.id, "build-log")
            while output := (await self._transport.send(calls.get(path, offset=offset))).content:
                lines.feed(output)
                offset += len(output)
            if image.status in ("ready", "failed"):
                lines.finish()
            if waiting.image_is_settled(image, deadline):
                return image
            image = await self._again(image, deadline)
