"""What the handlers of AgentBase's paths work with: the caller, ids with prefixes, pages by number."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Generic, Protocol, TypeVar

from fastapi import Depends, Header, Path, Query, Request
from fastapi.security import HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials
from pydantic import AfterValidator, BaseModel

from roost_server.domain.runtime import UUID
from roost_server.engines.engine import Engine
from roost_server.operations.caller import Asked, Caller, authenticate
from roost_server.operations.context import Context

T = TypeVar("T")
_PREFIXED = re.compile(rf"(?:runtime|endpoint)-({UUID.pattern})")


class Parts(Protocol):
    """What the application keeps for its handlers."""

    @property
    def context(self) -> Context: ...

    @property
    def engine(self) -> Engine: ...

    def url_of(self, label: str) -> str: ...


def parts_of(request: Request) -> Parts:
    parts: Parts = request.app.state.api
    return parts


def bare(given: str) -> str:
    """The id without AgentBase's prefix, if it has one; a bare UUID and a name mean themselves."""
    prefixed = _PREFIXED.fullmatch(given)
    return prefixed[1] if prefixed else given


_bearer = HTTPBearer(auto_error=False, description="An API token of the workspace, or an access token.")


async def caller_of(
    request: Request, bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Caller:
    """Who asks; the workspace is the token's own. Every route depends on this."""
    token = bearer.credentials if bearer else None
    named = request.path_params.get("runtime_id")
    asked = Asked(reads=_only_reads(request), runtime=None if named is None else bare(named))
    return await authenticate(parts_of(request).context.store, token, None, None, request.state.request_id, asked)


def _only_reads(request: Request) -> bool:
    """Logs are searched by POST. By the route, not by the address: what is named `logs` there may be anything."""
    return request.method == "GET" or (request.method == "POST" and request.scope["route"].path.endswith("/logs"))


PartsOf = Annotated[Parts, Depends(parts_of)]
CallerOf = Annotated[Caller, Depends(caller_of)]


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
    told = f"{request.method} {request.scope['path']}\n".encode() + await request.body()
    return replace(caller, key=idempotency_key, fingerprint=hashlib.sha256(told).hexdigest())


IdempotentCaller = Annotated[Caller, Depends(idempotent_caller)]
RuntimeId = Annotated[str, Path(description="`runtime-<uuid>`, or the bare UUID."), AfterValidator(bare)]
EndpointId = Annotated[str, Path(description="`endpoint-<uuid>`, or the bare UUID."), AfterValidator(bare)]
PageNumber = Annotated[int, Query(ge=1, le=1_000_000, description="The first page is 1.")]
PageSize = Annotated[int, Query(ge=1, le=1000, description="Items on a page.")]


class ListResponse(BaseModel, Generic[T]):
    """A page by number."""

    listData: list[T]
    page: int
    pageSize: int
    totalPage: int
    totalItem: int


def listed(items: Sequence[T], page: int, size: int, total: int) -> ListResponse[T]:
    return ListResponse(listData=list(items), page=page, pageSize=size, totalPage=-(-total // size), totalItem=total)
