"""The error envelope, on every path: from the error tree, from validation, from routing and from bugs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import structlog
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from roost_server.domain import errors
from roost_server.domain.errors import FieldError, RoostError

log = structlog.get_logger()

BY_CODE: dict[int, type[RoostError]] = {
    400: errors.BadRequest,
    401: errors.Unauthenticated,
    403: errors.Forbidden,
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    409: errors.Conflict,
    413: errors.TooLarge,
    422: errors.Invalid,
    429: errors.RateLimited,
    500: errors.Internal,
    502: errors.BadGateway,
    503: errors.Unavailable,
    504: errors.TimedOut,
}


class ErrorItem(BaseModel):
    loc: list[str | int] = Field(description="Where the wrong value stands.")
    msg: str
    type: str


class ErrorEnvelope(BaseModel):
    """Every error, always."""

    code: int = Field(description="The HTTP status.")
    detail: str = Field(description="What went wrong and what to do about it.")
    type: str = Field(description="A stable word for programs.")
    reason: str | None = Field(None, description="One word from the fixed set of reasons, where there is one.")
    errors: list[ErrorItem] | None = None


def documented(*codes: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's `responses` for these and the ones that any route may give."""
    everywhere = (400, 401, 404, 413, 422, 429, 500, 503)
    return {
        code: {"model": ErrorEnvelope, "description": (BY_CODE[code].__doc__ or "").split("\n")[0]}
        for code in sorted({*everywhere, *codes})
    }


def envelope(error: RoostError) -> dict[str, Any]:
    body: dict[str, Any] = {"code": error.code, "detail": error.message, "type": error.type}
    if error.reason:
        body["reason"] = error.reason
    if error.errors:
        body["errors"] = [{"loc": list(item.loc), "msg": item.msg, "type": item.type} for item in error.errors]
    return body


class Dialect(Protocol):
    """Another product's wire format beside the native API: its routes, and how an error looks under its paths."""

    @property
    def router(self) -> APIRouter: ...

    def owns(self, path: str) -> bool: ...

    def answer(self, error: RoostError, request_id: str) -> tuple[int, dict[str, Any]]:
        """The HTTP status and the body."""
        ...


@dataclass(frozen=True)
class Envelopes:
    """Which envelope an error wears: that of the dialect whose path it is, else ours."""

    dialects: Sequence[Dialect] = ()

    def answer(self, path: str, error: RoostError, request_id: str) -> tuple[int, dict[str, Any]]:
        """The HTTP status and the body."""
        for dialect in self.dialects:
            if dialect.owns(path):
                return dialect.answer(error, request_id)
        return error.code, envelope(error)

    def respond(
        self, request: Request, error: RoostError, more_headers: Mapping[str, str] = MappingProxyType({})
    ) -> JSONResponse:
        status, body = self.answer(request.url.path, error, request.state.request_id)
        headers = dict(more_headers)
        if error.code == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if error.code in (429, 503):
            headers["Retry-After"] = "1"
        return JSONResponse(body, status_code=status, headers=headers)


def install(app: FastAPI, envelopes: Envelopes) -> None:
    """Answer every kind of failure with the envelope of its path."""

    @app.exception_handler(RoostError)
    async def known(request: Request, error: RoostError) -> JSONResponse:
        if error.code >= 500:
            log.warning("answered an error", path=request.url.path, error=error.message, detail=error.detail)
        return envelopes.respond(request, error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return envelopes.respond(request, from_validation(error.errors()))

    @app.exception_handler(HTTPException)
    async def routing(request: Request, error: HTTPException) -> JSONResponse:
        headers = {"Allow": _allowed(app, request.url.path, error)} if error.status_code == 405 else {}
        return envelopes.respond(request, _from_http(request, error), headers)


def _allowed(app: FastAPI, path: str, error: HTTPException) -> str:
    """Every method that this path takes: routes of one path are matched one by one, and each knows only its own."""
    paths = app.openapi()["paths"]
    matching = [template for template in paths if compile_path(template)[0].match(path)]
    if not matching:
        return (error.headers or {}).get("Allow", "GET")
    most_literal = min(matching, key=lambda template: template.count("{"))
    return ", ".join(sorted(method.upper() for method in paths[most_literal]))


def from_validation(found: Any) -> RoostError:
    """One error of all the wrong fields; broken JSON is a bad request, wrong values are invalid."""
    items = [_item(one) for one in found]
    first = items[0]
    if first.type == "json_invalid":
        return errors.BadRequest(f"cannot read the body as JSON: {first.msg}", errors=items)
    where = ".".join(str(part) for part in first.loc) or "body"
    return errors.Invalid(f"cannot accept {where}: {first.msg[:1].lower()}{first.msg[1:]}", errors=items)


def _item(one: dict[str, Any]) -> FieldError:
    loc = tuple(part for part in one["loc"] if part != "body")
    if one["type"] == "json_invalid":
        return FieldError((), f"{one['ctx']['error']} at character {one['loc'][-1]}", "json_invalid")
    message = str(one["msg"]).removeprefix("Value error, ")
    unknown = one["type"] in ("extra_forbidden", "unexpected_keyword_argument")
    return FieldError(loc, "unknown field; remove it" if unknown else message, one["type"])


def _from_http(request: Request, error: HTTPException) -> RoostError:
    where = f"{request.method} {request.url.path}"
    match error.status_code:
        case 404:
            return errors.NotFound(f"cannot find {where}: there is no such route; see /openapi.json")
        case 405:
            return errors.MethodNotAllowed(f"cannot {where}: this path takes other methods")
        case 413:
            return errors.TooLarge(error.detail, errors=[FieldError(("body",), error.detail, "too_large")])
        case code:
            return BY_CODE.get(code, errors.BadRequest)(f"cannot read {where}: {error.detail}")


def raw(error: RoostError) -> bytes:
    """The envelope as bytes, for what never reaches the application."""
    return json.dumps(envelope(error)).encode()
