"""Exec: the call that runs one command inside a runtime."""

from collections.abc import Sequence
from typing import Any, TypedDict

from roost.calls import Call

DEFAULT_SECONDS = 60.0


class ExecOptions(TypedDict, total=False):
    """`user` is `user`, `uid` or `uid:gid`; `max_output_bytes` is kept of stdout and of stderr each."""

    env: dict[str, str] | None
    cwd: str | None
    stdin: str | None
    user: str | None
    replica: str | None
    max_output_bytes: int | None


def call(path: str, command: str | Sequence[str], timeout: float, options: ExecOptions) -> Call:
    """A text is given to a login shell; a list is run as it is."""
    argv = ["sh", "-lc", command] if isinstance(command, str) else list(command)
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    return Call("POST", path, json={"command": argv, "timeout_seconds": timeout, **given}, seconds=timeout)
