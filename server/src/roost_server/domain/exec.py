"""Exec: one command run inside a replica, its output collected."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ExecRequest:
    """`command` is an argv; nothing is passed through a shell. Limits apply to stdout and stderr each."""

    command: list[str]
    env: dict[str, str] = field(default_factory=dict)
    cwd: str | None = None
    user: str | None = None
    stdin: bytes = b""
    timeout_seconds: float = 60.0
    max_output_bytes: int = 1024 * 1024


@dataclass(frozen=True)
class ExecResult:
    """Exit code 124 when the timeout ended it, 126 and 127 when the command could not be run or found, 128 + `signal`
    when a signal ended the command itself; a shell answers the same code when that happened to what it ran."""

    exit_code: int
    stdout: bytes
    stderr: bytes
    duration_ms: float
    stdout_truncated: bool = False
    stderr_truncated: bool = False
    timed_out: bool = False
    signal: int | None = None
