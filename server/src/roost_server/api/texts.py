"""Text that no database keeps: NUL characters and halves of surrogate pairs, which JSON can spell. Refused, named."""

import json
from collections.abc import Iterator
from typing import Any

from fastapi import Request

from roost_server.domain import errors
from roost_server.domain.errors import FieldError

_NOT_STORED = (("stdin",),)
"""Where NUL characters are as good as any other: it goes to a process, not to a row."""

Location = tuple[str | int, ...]


async def refuse_unusable(request: Request) -> None:
    """Raises `Invalid` naming the first text of a JSON body that cannot be kept."""
    if "json" not in request.headers.get("content-type", "").lower():
        return
    try:
        body = await request.json()
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError, ValueError):
        return
    for location, text in _texts(body):
        _check(location, text)


def _check(location: Location, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _refused(location, "holds half of a surrogate pair, which is no character") from None
    if "\0" in text and location not in _NOT_STORED:
        raise _refused(location, "cannot hold NUL characters")


def _refused(location: Location, why: str) -> errors.Invalid:
    where = ".".join(str(part) for part in location) or "body"
    where = where.encode(errors="replace").decode().replace("\0", "?")
    return errors.Invalid(f"cannot accept {where}: {why}", errors=[FieldError(tuple(where.split(".")), why, "text")])


def _texts(body: Any) -> Iterator[tuple[Location, str]]:
    """Every string of a JSON document with where it stands; keys too."""
    left: list[tuple[Location, Any]] = [((), body)]
    while left:
        location, value = left.pop()
        if isinstance(value, str):
            yield location, value
        elif isinstance(value, dict):
            yield from (((*location, key), key) for key in value)
            left += [((*location, key), one) for key, one in value.items()]
        elif isinstance(value, list):
            left += [((*location, number), one) for number, one in enumerate(value)]
