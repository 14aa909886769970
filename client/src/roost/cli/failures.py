"""How a command fails: one line on stderr with what to do about it, or the envelope as JSON, and an exit code."""

import json
import sys
from typing import Any

import typer

from roost import errors

FAILED, USAGE, NOT_FOUND, UNREACHABLE, TIMED_OUT, INTERRUPTED = 1, 2, 3, 4, 5, 130

_TYPES: list[tuple[type[Exception], int, str]] = [
    (errors.NotFoundError, NOT_FOUND, "not_found_error"),
    (errors.UnreachableError, UNREACHABLE, "unreachable_error"),
    (errors.WaitTimeout, TIMED_OUT, "wait_timeout_error"),
    (errors.TimedOutError, TIMED_OUT, "timeout_error"),
    (errors.RuntimeFailed, FAILED, "runtime_failed_error"),
    (errors.ImageFailed, FAILED, "image_failed_error"),
    (errors.PushFailed, FAILED, "push_failed_error"),
    (errors.CanaryFailed, FAILED, "canary_failed_error"),
    (errors.SettingsError, FAILED, "settings_error"),
    (errors.RoostError, FAILED, "error"),
    (typer.TyperException, USAGE, "usage_error"),
]
KNOWN = (errors.RoostError, typer.TyperException, typer.Abort)
_HINTS: list[tuple[type[errors.ApiError], str]] = [
    (
        errors.AuthenticationError,
        "`roost login` stores a token; the server's first start stored one for the user who started it",
    ),
    (errors.AlreadyExistsError, "choose another name, or remove what has it first"),
    (errors.InternalError, "the server's log has the details"),
]


def report(error: Exception, *, as_json: bool) -> int:
    """Tell about an error and give its exit code."""
    if isinstance(error, typer.Abort):
        return INTERRUPTED
    code, type_ = next((code, type_) for kind, code, type_ in _TYPES if isinstance(error, kind))
    print(json.dumps(_envelope(error, type_)) if as_json else _sentence(error), file=sys.stderr)
    return code


def _envelope(error: Exception, type_: str) -> dict[str, Any]:
    if isinstance(error, errors.ApiError):
        return error.envelope()
    body = {"code": None, "detail": _message(error), "type": type_}
    reason = getattr(error, "reason", None)
    return body | ({"reason": reason} if reason else {})


def _sentence(error: Exception) -> str:
    first, *rest = _message(error).splitlines() or [""]
    lines = [f"roost: {first}", *(f"  {line}" for line in rest), *_fields(error)]
    hint = _hint(error)
    return "\n".join([*lines, f"  hint: {hint}"] if hint else lines)


def _message(error: Exception) -> str:
    if isinstance(error, typer.TyperException):
        message = error.format_message()
        return message[:1].lower() + message[1:].removesuffix(".")
    return str(error)


def _fields(error: Exception) -> list[str]:
    """The wrong fields, when the message does not say it all."""
    found = error.errors if isinstance(error, errors.ApiError) else ()
    if len(found) < 2:
        return []
    return [f"  {'.'.join(str(part) for part in one.loc) or 'body'}: {one.msg}" for one in found]


def _hint(error: Exception) -> str | None:
    if isinstance(error, errors.RoostError) and error.hint:
        return error.hint
    if isinstance(error, typer.TyperException):
        ctx = getattr(error, "ctx", None)
        return f"see `{ctx.command_path} --help`" if ctx else None
    if isinstance(error, errors.NotFoundError) and str(error).startswith("cannot find runtime"):
        return "see which there are with `roost ps -a`"
    return next((hint for kind, hint in _HINTS if isinstance(error, kind)), None)
