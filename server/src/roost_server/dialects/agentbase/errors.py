"""AgentBase's errors: the published client shows `message`, so everything a person needs is in it."""

from typing import Any

from pydantic import BaseModel, Field

from roost_server.domain.errors import FieldError, RoostError

_PLACES = ("query", "path", "header")
_NAMES = {
    "config.build.source.ref": "imageUrl",
    "config.build.source": "imageUrl",
    "config.build.auth.username": "imageAuth.username",
    "config.build.auth.password": "imageAuth.password",
    "config.resources.flavor": "flavorId",
    "runtime_id": "id",
    "endpoint_id": "endpointId",
}
"""What AgentBase calls the fields that Roost's operations name."""


class FieldProblem(BaseModel):
    field: str = Field(description="The wrong field, dotted.")
    message: str


class AgentBaseError(BaseModel):
    """Every error under AgentBase's paths."""

    code: int = Field(description="The HTTP status.")
    error: str = Field(description="A stable word for programs.")
    message: str = Field(description="What went wrong and what to do about it.")
    reason: str | None = Field(None, description="One word from the fixed set of reasons, where there is one.")
    errors: list[FieldProblem] | None = Field(None, description="Each wrong field, where fields are wrong.")
    requestId: str = Field(description="Also in the header X-Request-Id.")


_MEANINGS = {
    400: "The request cannot be read, or asks for something that cannot be.",
    401: "No token, or one that Roost does not know.",
    404: "It does not exist.",
    409: "Its state does not allow it now, or the name is taken.",
    413: "The body is too large.",
    429: "Too many requests at once.",
    500: "A bug in Roost.",
    503: "Something Roost needs is not there now; try again.",
}


def documented(*codes: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's `responses` for these and the ones that any route may give."""
    everywhere = (400, 401, 404, 413, 429, 500, 503)
    found: dict[int | str, str] = {code: _MEANINGS[code] for code in sorted({*everywhere, *codes})}
    found["4XX"] = "Anything else that the caller can put right."
    return {code: {"model": AgentBaseError, "description": what} for code, what in found.items()}


def answer(error: RoostError, request_id: str) -> tuple[int, dict[str, Any]]:
    """The HTTP status, 400 where Roost's own API says 422, and the body."""
    status = 400 if error.code == 422 else error.code
    problems = [FieldProblem(field=_name(item), message=item.msg) for item in error.errors]
    body = AgentBaseError(
        code=status,
        error=error.type,
        message=_message(error, problems),
        reason=error.reason,
        errors=problems or None,
        requestId=request_id,
    )
    return status, body.model_dump(exclude_none=True)


def _message(error: RoostError, problems: list[FieldProblem]) -> str:
    """Of several wrong fields, all are named."""
    if len(problems) < 2:
        return error.message
    return "cannot accept " + "; ".join(f"{problem.field}: {problem.message}" for problem in problems)


def _name(item: FieldError) -> str:
    parts = [str(part) for part in item.loc]
    dotted = ".".join(parts[1:] if parts[:1] and parts[0] in _PLACES and len(parts) > 1 else parts)
    return _NAMES.get(dotted, dotted) or "body"
