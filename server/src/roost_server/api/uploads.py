"""Uploads: files a caller sends, kept on disk until their reconciler has made something of them."""

import asyncio
import errno
import shutil
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

from fastapi import Request

from roost_server.domain import errors
from roost_server.domain.ids import new_id

T = TypeVar("T")


async def receive(request: Request, uploads: Path, name: str, limit: int) -> Path:
    """Write the body to `<new folder>/<name>`; the folder. Raises `TooLarge`, `Invalid` when empty, `Unavailable`."""
    folder = uploads / new_id()
    await asyncio.to_thread(folder.mkdir, parents=True)
    try:
        size = await _write(request, folder / name, limit)
        if size == 0:
            raise errors.Invalid("cannot use an empty body", errors=[errors.FieldError(("body",), "is empty")])
    except BaseException:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        raise
    return folder


async def _write(request: Request, path: Path, limit: int) -> int:
    size = 0
    file = await asyncio.to_thread(path.open, "wb")
    with file:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise errors.TooLarge(f"cannot accept an upload of more than {limit >> 30} GiB")
            try:
                await asyncio.to_thread(file.write, chunk)
            except OSError as error:
                raise _no_room(error) from error
    return size


def _no_room(error: OSError) -> errors.RoostError:
    if error.errno == errno.ENOSPC:
        return errors.Unavailable("cannot keep the upload: the server's disk is full", reason="disk_full")
    return errors.Internal("cannot keep the upload", detail=str(error))


async def handed_on(folder: Path, creation: Awaitable[tuple[T, bool]]) -> T:
    """What `creation` made. The folder is removed when that failed, or was made by an earlier request."""
    taken = False
    try:
        made, taken = await creation
        return made
    finally:
        if not taken:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
