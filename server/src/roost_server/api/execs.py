"""Exec over HTTP: a stream from the engine that changes no row."""

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from roost_server.api.context import ApiOf, CallerOf
from roost_server.api.errors import documented
from roost_server.domain import errors
from roost_server.domain.config import ENV_NAME
from roost_server.domain.exec import ExecRequest, ExecResult
from roost_server.engines.engine import Execs
from roost_server.operations import replicas

router = APIRouter(tags=["exec"])

NoNul = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]
EnvName = Annotated[str, StringConstraints(pattern=f"^{ENV_NAME.pattern}$")]


class Exec(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    command: list[NoNul] = Field(min_length=1, max_length=4096, description="An argv; no shell is involved.")
    env: dict[EnvName, NoNul] = Field(default_factory=dict, max_length=500, description="Added to the replica's own.")
    cwd: NoNul | None = Field(None, min_length=1, pattern="^/", description="An absolute path.")
    stdin: str = Field("", description="Text for the command's standard input.")
    timeout_seconds: float = Field(60, gt=0, le=3600, description="Then it is killed: exit code 124.")
    max_output_bytes: int = Field(1 << 20, ge=0, le=64 << 20, description="Kept of stdout and of stderr each.")
    user: NoNul | None = Field(None, min_length=1, max_length=64, description="`user`, `uid` or `uid:gid`.")
    replica: str | None = Field(None, max_length=64, description="One replica's id; the newest ready one if unset.")


class ExecOutcome(BaseModel):
    exit_code: int = Field(
        description="As in a shell: 124 timed out, 126 not executable, 127 not found, 128+n signal n."
    )
    stdout: str = Field(description="As UTF-8; undecodable bytes are replaced.")
    stderr: str
    duration_ms: float
    stdout_truncated: bool
    stderr_truncated: bool
    timed_out: bool
    signal: int | None = Field(description="The signal that ended the command itself, if one did.")


@router.post("/runtimes/{runtime}/exec", responses=documented(409))
async def exec_command(runtime: str, body: Exec, request: Request, api: ApiOf, caller: CallerOf) -> ExecOutcome:
    """Run one command in a replica and give back all its output. It is ended when the caller goes away."""
    if not body.command[0]:
        raise errors.Invalid(
            "cannot run an empty command", errors=[errors.FieldError(("command", 0), "the program's name is empty")]
        )
    replica = await replicas.choose(api.context, caller, runtime, body.replica)
    if not isinstance(api.engine, Execs):
        raise errors.Conflict("cannot run commands: this installation's engine does not offer it")
    fields = body.model_dump(exclude={"replica", "stdin"})
    running = api.engine.exec(replica.id, ExecRequest(**fields, stdin=body.stdin.encode()))
    result = await _while_connected(request, running)
    return ExecOutcome(
        exit_code=result.exit_code,
        stdout=result.stdout.decode(errors="replace"),
        stderr=result.stderr.decode(errors="replace"),
        duration_ms=result.duration_ms,
        stdout_truncated=result.stdout_truncated,
        stderr_truncated=result.stderr_truncated,
        timed_out=result.timed_out,
        signal=result.signal,
    )


async def _while_connected(request: Request, running: Coroutine[Any, Any, ExecResult]) -> ExecResult:
    """The result; the command is cancelled when nobody is there any more to take it."""
    result, gone = asyncio.ensure_future(running), asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({result, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not result.done():
            raise errors.BadRequest("cannot finish the command: its caller went away, so it was ended")
        return result.result()
    finally:
        gone.cancel()
        result.cancel()
        await asyncio.gather(gone, result, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue
