"""The error tree. Everything that the SDK raises on purpose is a `RoostError`.

    RoostError
    ├── ApiError            the server answered with an error; one class a kind
    ├── UnreachableError    no server answered (also a ConnectionError)
    ├── WaitTimeout         waiting took longer than allowed; the work goes on (also a TimeoutError)
    ├── RuntimeFailed       the runtime that was waited for is in `error`
    ├── ImageFailed         the image that was waited for could not be had
    ├── PushFailed          the push that was waited for failed
    └── SettingsError       the url, token or file that says where the server is cannot be used

The classes under `ApiError` mirror the server's tree by `type`, the stable word for programs.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FieldError:
    """One wrong field: where it is, what is wrong, and its kind."""

    loc: tuple[str | int, ...]
    msg: str
    type: str


class RoostError(Exception):
    """Base of the tree. `str(error)` is one sentence; `hint`, where there is one, says what to do next."""

    hint: str | None = None

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or self.hint


class SettingsError(RoostError):
    """The url, token or configuration file cannot be used."""


class UnreachableError(RoostError, ConnectionError):
    """Nobody answers at the server's address, or the connection broke."""


class WaitTimeout(RoostError, TimeoutError):
    """It did not get there in the time allowed. Nothing was undone: the work goes on."""


class _Failed(RoostError):
    def __init__(self, message: str, *, reason: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class RuntimeFailed(_Failed):
    """The runtime went to `error`. `reason` is one word for programs."""


class ImageFailed(_Failed):
    """The image could not be pulled, loaded or built. `reason` is one word for programs."""


class PushFailed(_Failed):
    """The image could not be sent. `reason` is one word for programs."""


class CanaryFailed(_Failed):
    """The canary was rolled back or aborted, which `reason` says: the old version has all the traffic."""


class ApiError(RoostError):
    """The server's envelope: `code` is the HTTP status, `type` and `reason` are words for programs."""

    code: int = 0
    type: str = "error"

    def __init__(
        self,
        detail: str,
        *,
        code: int | None = None,
        reason: str | None = None,
        errors: tuple[FieldError, ...] = (),
        request_id: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(detail, hint=hint)
        self.code = code or self.code
        self.detail = detail
        self.reason = reason
        self.errors = errors
        self.request_id = request_id

    def envelope(self) -> dict[str, Any]:
        """The error as the server sends it, with the request's id."""
        body: dict[str, Any] = {"code": self.code, "detail": self.detail, "type": self.type}
        if self.reason:
            body["reason"] = self.reason
        if self.errors:
            body["errors"] = [{"loc": list(one.loc), "msg": one.msg, "type": one.type} for one in self.errors]
        return body | ({"request_id": self.request_id} if self.request_id else {})


class BadRequestError(ApiError):
    """The request cannot be read."""

    code, type = 400, "bad_request_error"


class AuthenticationError(ApiError):
    """No token, or one that the server does not know."""

    code, type = 401, "authentication_error"


class ForbiddenError(ApiError):
    """The caller is known and may not do this."""

    code, type = 403, "forbidden_error"


class NotFoundError(ApiError):
    """The object does not exist, or the caller may not know that it does."""

    code, type = 404, "not_found_error"


class MethodNotAllowedError(ApiError):
    """The path exists, but not with this HTTP method."""

    code, type = 405, "method_not_allowed_error"


class AlreadyExistsError(ApiError):
    """The name is taken."""

    code, type = 409, "already_exists_error"


class ConflictError(ApiError):
    """The object's state does not allow it now, or the caller's copy is stale."""

    code, type = 409, "conflict_error"


class PayloadTooLargeError(ApiError):
    """The body is larger than the server accepts."""

    code, type = 413, "payload_too_large_error"


class ValidationError(ApiError):
    """The request asks for something that cannot be. `errors` names the fields."""

    code, type = 422, "validation_error"


class RateLimitError(ApiError):
    """Too many requests at once."""

    code, type = 429, "rate_limit_error"


class InternalError(ApiError):
    """A bug in Roost. The server's log has the details under `request_id`."""

    code, type = 500, "internal_error"


class BadGatewayError(ApiError):
    """The engine answered with something Roost cannot use."""

    code, type = 502, "bad_gateway_error"


class UnavailableError(ApiError):
    """Something Roost needs is not there now. It may be tried again."""

    code, type = 503, "unavailable_error"


class TimedOutError(ApiError):
    """It took longer than the caller allowed."""

    code, type = 504, "timeout_error"


BY_TYPE: dict[str, type[ApiError]] = {one.type: one for one in ApiError.__subclasses__()}
_BY_CODE: dict[int, type[ApiError]] = {one.code: one for one in ApiError.__subclasses__()}


def from_response(status: int, body: bytes, headers: Mapping[str, str]) -> ApiError:
    """The class that the envelope names; for an answer without an envelope, the one its status names."""
    try:
        envelope = json.loads(body)
        kind, detail = BY_TYPE.get(envelope["type"]), str(envelope["detail"])
    except (ValueError, KeyError, TypeError):
        envelope, kind = {}, None
        detail = f"cannot use the answer: status {status} without Roost's error envelope; is this url a Roost server?"
    kind = kind or _BY_CODE.get(status, ApiError)
    return kind(
        detail,
        code=status,
        reason=envelope.get("reason"),
        errors=tuple(_field(one) for one in envelope.get("errors") or ()),
        request_id=headers.get("x-request-id"),
    )


def _field(one: Any) -> FieldError:
    return FieldError(tuple(one.get("loc", ())), str(one.get("msg", "")), str(one.get("type", "")))
