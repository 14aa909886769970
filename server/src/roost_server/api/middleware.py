"""Around every request: its id, what is refused unread, and the answer when a handler has a bug."""

import json
import re
import uuid
from functools import partial
from typing import Any

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from roost_server.api.errors import Envelopes
from roost_server.domain import errors

log = structlog.get_logger()

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_STREAMED = ("/images/load", "/images/build")


class Envelope:
    """Outermost: sets `X-Request-Id`, refuses bodies that are too large, turns a bug into a 500."""

    def __init__(self, app: ASGIApp, max_body_bytes: int, envelopes: Envelopes) -> None:
        self._app = app
        self._envelopes = envelopes
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        request_id = _request_id(headers.get(b"x-request-id", b"").decode("latin-1"))
        scope.setdefault("state", {})["request_id"] = request_id
        started = False

        async def stamped(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        limit = None if scope["path"].endswith(_STREAMED) else self._max_body_bytes
        refusal = _refusal(scope, headers, limit)
        answer = partial(self._envelopes.answer, scope["path"], request_id=request_id)
        if refusal is not None:
            await _answer(stamped, *answer(refusal))
            return
        try:
            await self._app(scope, _limited(receive, limit), stamped)
        except ClientDisconnect:
            log.debug("a caller went away before all of its request was there", path=scope["path"])
        except Exception:
            log.exception("a handler failed", path=scope["path"], request_id=request_id)
            bug = errors.Internal(f"cannot answer: a bug in Roost; its log has the details under {request_id}")
            if not started:
                await _answer(stamped, *answer(bug))


def _request_id(given: str) -> str:
    return given if _REQUEST_ID.fullmatch(given) else str(uuid.uuid4())


def _refusal(scope: Scope, headers: dict[bytes, bytes], limit: int | None) -> errors.RoostError | None:
    """What can be refused before any of the body is read."""
    if "\0" in scope["path"] or b"%00" in scope["query_string"]:
        return errors.BadRequest("cannot use NUL characters in an address")
    told = headers.get(b"content-length", b"0")
    if limit is not None and told.isdigit() and int(told) > limit:
        message = _too_large(limit)
        return errors.TooLarge(message, errors=[errors.FieldError(("body",), message, "too_large")])
    return None


def _too_large(limit: int) -> str:
    return f"cannot accept a body of more than {limit >> 20} MiB"


def _limited(receive: Receive, limit: int | None) -> Receive:
    """Bodies whose length was not told are counted. FastAPI lets only its own kind of exception through."""
    if limit is None:
        return receive
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise HTTPException(413, _too_large(limit))
        return message

    return counted


async def _answer(send: Send, status: int, body: dict[str, Any]) -> None:
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})
