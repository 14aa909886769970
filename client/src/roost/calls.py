"""Call: one request to the API as a value, before anything is sent."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from roost.errors import RoostError

Body = Callable[[], Iterator[bytes]]
"""Makes the body's chunks anew, so that a request can be repeated."""


@dataclass(frozen=True)
class Call:
    """`path` is under the workspace. `repeatable`: sending it twice has the effect of sending it once.

    `seconds` is how long the server may take to answer, beyond the client's ordinary patience.
    """

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    json: Any = None
    body: Body | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    repeatable: bool = False


def get(path: str, *, wait: float = 0.0, **params: Any) -> Call:
    """Read something; with `wait`, the server holds the answer back until the outcome or that many seconds."""
    return Call("GET", path, params=_given(wait=wait or None, **params), seconds=wait, repeatable=True)


def create(path: str, json: Any = None, *, wait: float = 0.0, body: Body | None = None, **params: Any) -> Call:
    """Make something once: the key lets the server recognise a repetition."""
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    if body is not None:
        headers["Content-Type"] = "application/octet-stream"
    params = _given(wait=wait or None, **params)
    return Call("POST", path, params, json, body, headers, seconds=wait, repeatable=True)


def verb(path: str, *, wait: float = 0.0) -> Call:
    """Ask for a state, such as started; asking twice changes nothing."""
    return Call("POST", path, params=_given(wait=wait or None), seconds=wait, repeatable=True)


def change(path: str, json: Any, *, wait: float = 0.0, expected_revision: int | None = None) -> Call:
    """Change fields; the same change made twice is as good as made once, but has another revision."""
    headers, repeatable = if_match(expected_revision), expected_revision is None
    return Call("PATCH", path, _given(wait=wait or None), json, None, headers, seconds=wait, repeatable=repeatable)


def delete(path: str, *, wait: float = 0.0, expected_revision: int | None = None) -> Call:
    headers = if_match(expected_revision)
    return Call("DELETE", path, _given(wait=wait or None), headers=headers, seconds=wait, repeatable=True)


def if_match(expected_revision: int | None) -> dict[str, str]:
    """The header that refuses a change when the object has another revision by now."""
    return {} if expected_revision is None else {"If-Match": f'"{expected_revision}"'}


def path(*parts: str) -> str:
    """ "/runtimes/hello": each part quoted, so that no name can reach another path. Raises `RoostError` for those that
    would all the same."""
    for part in parts:
        if part in ("", ".", ".."):
            raise RoostError(f'cannot ask for "{part}": nothing has that name')
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def _given(**params: Any) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value not in (None, [], ())}
