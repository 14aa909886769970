"""The error tree. What an agent raises to refuse a request, and the envelope in which a caller reads it.

`str(error)` is for the caller: lower case, begins "cannot", says what to do. Any other exception that leaves a
handler is a bug of the agent: it is logged, and the caller learns only the request id.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class FieldError:
    """One wrong field: where it is (`("body", "name")`), what is wrong, and its kind."""

    loc: tuple[str | int, ...]
    msg: str
    type: str = "value_error"


class AgentError(Exception):
    """Base of the tree; by itself the agent's own fault."""

    code = 500
    type = "internal_error"

    def __init__(self, message: str, *, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.errors = tuple(errors)


class BadRequest(AgentError):
    """The request cannot be read: broken JSON, or a header that is missing."""

    code, type = 400, "bad_request_error"


class Unauthenticated(AgentError):
    """The agent does not know who is asking."""

    code, type = 401, "authentication_error"


class Forbidden(AgentError):
    """The caller is known and may not do this."""

    code, type = 403, "forbidden_error"


class NotFound(AgentError):
    """What the request names does not exist."""

    code, type = 404, "not_found_error"


class MethodNotAllowed(AgentError):
    """The path exists, but not with this HTTP method."""

    code, type = 405, "method_not_allowed_error"


class Conflict(AgentError):
    """The state of something does not allow it now."""

    code, type = 409, "conflict_error"


class TooLarge(AgentError):
    """The body is larger than the agent accepts."""

    code, type = 413, "payload_too_large_error"


class Invalid(AgentError):
    """The request is well-formed and asks for something that cannot be."""

    code, type = 422, "validation_error"


class RateLimited(AgentError):
    """Too many requests at once."""

    code, type = 429, "rate_limit_error"


class Unavailable(AgentError):
    """Something the agent needs is not there now; the caller may try again."""

    code, type = 503, "unavailable_error"


class TimedOut(AgentError):
    """It took longer than the agent allows."""

    code, type = 504, "timeout_error"


def envelope(error: AgentError) -> dict[str, object]:
    """The body of every error answer: `{"code", "detail", "type", "errors"}`, as everywhere in Roost."""
    fields = [{"loc": list(field.loc), "msg": field.msg, "type": field.type} for field in error.errors]
    return {"code": error.code, "detail": error.message, "type": error.type, "errors": fields}
