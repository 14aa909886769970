"""What handlers work with, and the parts of a request that many of them read."""

import hashlib
import re
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Header, Query, Request
from fastapi.security import APIKeyHeader, HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials
from pydantic import BeforeValidator

from roost_server.domain import endpoint as hosts
from roost_server.domain.runtime import UUID
from roost_server.engines.engine import Engine
from roost_server.gateway.gateway import Gateway
from roost_server.operations.caller import Asked, Caller, authenticate
from roost_server.operations.context import Context


@dataclass(frozen=True)
class Api:
    """`url_of` gives a host label its whole URL; `uploads` is where sent files wait for their reconciler.

    `replicas_url` is the API's as replicas know it, `replicas_address` the host's address that they alone use: see
    `api/replica_door.py`."""

    context: Context
    engine: Engine
    gateway: Gateway
    domain: str
    http_port: int
    https_port: int
    uploads: Path
    max_body_bytes: int
    max_upload_bytes: int = 32 * 1024**3
    replicas_url: str = "http://127.0.0.1:7070"
    replicas_address: str | None = None

    def url_of(self, label: str) -> str:
        return hosts.url_of(label, self.domain, self.http_port)


def api_of(request: Request) -> Api:
    api: Api = request.app.state.api
    return api


_bearer = HTTPBearer(auto_error=False, description="An API token of the workspace, or an access token.")
_api_key = APIKeyHeader(name="X-API-Key", auto_error=False, description="Means the same as the bearer token.")


async def caller_of(
    request: Request,
    org: str,
    ws: str,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    api_key: Annotated[str | None, Depends(_api_key)],
) -> Caller:
    """The authenticated caller. Every route of a workspace depends on this, so that what a service account may not do
    is refused before anything of the request is looked at."""
    token = bearer.credentials if bearer else api_key
    asked = Asked(reads=request.method == "GET", runtime=request.path_params.get("runtime"))
    return await authenticate(api_of(request).context.store, token, org, ws, request.state.request_id, asked)


CallerOf = Annotated[Caller, Depends(caller_of)]
ApiOf = Annotated[Api, Depends(api_of)]
Wait = Annotated[float, Query(ge=0, le=300, description="Wait up to this many seconds for the outcome.")]
Limit = Annotated[int, Query(ge=1, le=100, description="Items on a page.")]
Cursor = Annotated[str | None, Query(pattern=f"^{UUID.pattern}$", description="`next_cursor` of the page before.")]

_DATE_AND_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]")


def _date_and_time(given: object) -> object:
    """Numbers and bare dates are no times here, though a parser would make something of them."""
    if isinstance(given, str) and not _DATE_AND_TIME.match(given):
        raise ValueError("write a time as in 2026-01-31T12:00:00Z")
    return given


Moment = Annotated[datetime, BeforeValidator(_date_and_time)]


async def idempotent_caller(
    request: Request,
    caller: CallerOf,
    idempotency_key: Annotated[
        str | None, Header(max_length=255, description="Same key and body: the same object, made once.")
    ] = None,
) -> Caller:
    """The caller of a creating POST, with its key and what the request must equal to be the same one."""
    if idempotency_key is None:
        return caller
    return replace(caller, key=idempotency_key, fingerprint=hashlib.sha256(await _told(request)).hexdigest())


async def _told(request: Request) -> bytes:
    """What makes two requests the same. How long to wait does not; of an upload, only its size is known here."""
    query = [(name, value) for name, value in request.query_params.multi_items() if name != "wait"]
    is_json = "json" in request.headers.get("content-type", "").lower()
    body = await request.body() if is_json else request.headers.get("content-length", "").encode()
    return f"{request.method} {request.url.path} {query}\n".encode() + body


IdempotentCaller = Annotated[Caller, Depends(idempotent_caller)]


def expected_revision(
    if_match: Annotated[
        str | None, Header(pattern=r'^(\*|(W/)?"?[0-9]{1,30}"?)$', description="The revision that was read, or `*`.")
    ] = None,
) -> int | None:
    """The revision in If-Match, quoted or not; None when absent or `*`."""
    return None if if_match in (None, "*") else int((if_match or "").removeprefix("W/").strip('"'))


Expected = Annotated[int | None, Depends(expected_revision)]
