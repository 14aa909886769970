"""The error tree. Every failure a caller can meet is one of these classes.

`message` is for the caller: lower case, begins "cannot", names the object, says what to do.
`reason` is one word from a fixed set, for programs. `detail` is for the operator's log only.
`code` is the HTTP status; the table of codes in the API and the SDK's classes are tested against this tree.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class FieldError:
    """One wrong field: where it is (`("config", "resources", "memory_mb")`), what is wrong, and its kind."""

    loc: tuple[str | int, ...]
    msg: str
    type: str = "value_error"


class RoostError(Exception):
    """Base of the tree. `str(error)` is the message for the caller."""

    code = 500
    type = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        detail: str = "",
        errors: Sequence[FieldError] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.detail = detail
        self.errors = tuple(errors)


class BadRequest(RoostError):
    """The request cannot be read: broken JSON, an unusable header or parameter."""

    code, type = 400, "bad_request_error"


class Unauthenticated(RoostError):
    """No token, or one that Roost does not know."""

    code, type = 401, "authentication_error"


class Forbidden(RoostError):
    """The caller is known and may not do this."""

    code, type = 403, "forbidden_error"


class NotFound(RoostError):
    """The object does not exist, or the caller may not know that it does."""

    code, type = 404, "not_found_error"


class MethodNotAllowed(RoostError):
    """The path exists, but not with this HTTP method."""

    code, type = 405, "method_not_allowed_error"


class AlreadyExists(RoostError):
    """The name is taken."""

    code, type = 409, "already_exists_error"


class Conflict(RoostError):
    """The object's state does not allow it now, or the caller's copy is stale."""

    code, type = 409, "conflict_error"


class TooLarge(RoostError):
    """The body is larger than this route accepts."""

    code, type = 413, "payload_too_large_error"


class Invalid(RoostError):
    """The request is well-formed and asks for something that cannot be. Never retried."""

    code, type = 422, "validation_error"


class RateLimited(RoostError):
    """Too many requests at once."""

    code, type = 429, "rate_limit_error"


class Internal(RoostError):
    """A bug in Roost. The log has the details under the request id."""

    code, type = 500, "internal_error"


class BadGateway(RoostError):
    """The engine answered with something Roost cannot use."""

    code, type = 502, "bad_gateway_error"


class Unavailable(RoostError):
    """Something Roost needs is not there now. Retried by reconcilers; a caller may try again."""

    code, type = 503, "unavailable_error"


class TimedOut(RoostError):
    """It took longer than the caller allowed."""

    code, type = 504, "timeout_error"
