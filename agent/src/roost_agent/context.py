"""Who asks, in which session, under which request id: read from headers, never guessed.

The names under `X-Roost-` win over those of GreenNode AgentBase, which mean the same.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from roost_agent.errors import BadRequest, FieldError

HEADERS: Mapping[str, tuple[str, ...]] = {
    "user_id": ("X-Roost-User-Id", "X-GreenNode-AgentBase-User-Id"),
    "session_id": ("X-Roost-Session-Id", "X-GreenNode-AgentBase-Session-Id"),
    "request_id": ("X-Request-Id", "X-GreenNode-AgentBase-Request-Id"),
}

_current: ContextVar["RequestContext"] = ContextVar("roost_agent_request")


@dataclass(frozen=True)
class RequestContext:
    """One request. `user_id` and `session_id` are None when the caller sent none; `request_id` is then made up.

    `headers` holds all headers by lower-case name; of one sent twice, the last.
    """

    user_id: str | None
    session_id: str | None
    request_id: str
    headers: Mapping[str, str] = field(repr=False)


def read(headers: Mapping[str, str]) -> RequestContext:
    """The context that these headers (lower-case names) describe."""
    return RequestContext(
        user_id=_find(headers, "user_id"),
        session_id=_find(headers, "session_id"),
        request_id=_find(headers, "request_id") or str(uuid.uuid4()),
        headers=headers,
    )


def demand(headers: Mapping[str, str], names: Sequence[str]) -> None:
    """Raise `BadRequest`, naming every header that is missing or empty."""
    missing = [HEADERS[name][0] for name in names if _find(headers, name) is None]
    if missing:
        fields = [FieldError(("header", name), "this agent needs it", "missing") for name in missing]
        raise BadRequest(f"cannot answer without the header {' and '.join(missing)}: send it", errors=fields)


def current() -> RequestContext:
    """The request being answered, in its handler and whatever that calls or starts.

    Raises RuntimeError outside of a request.
    """
    try:
        return _current.get()
    except LookupError:
        raise RuntimeError("cannot tell the current request: no invocation is running here") from None


@contextmanager
def use(request: RequestContext) -> Iterator[None]:
    """Make `request` what `current()` answers inside the block."""
    token = _current.set(request)
    try:
        yield
    finally:
        _current.reset(token)


def _find(headers: Mapping[str, str], name: str) -> str | None:
    for header in HEADERS[name]:
        if value := headers.get(header.lower(), "").strip():
            return value
    return None
