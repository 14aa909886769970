"""Exec: run a command inside a runtime, as if it ran here."""

import sys
from typing import Annotated, Any

import typer

from roost.cli import inputs, output, session, shapes
from roost.cli.options import Json, Name
from roost.errors import RoostError
from roost.execs import DEFAULT_SECONDS
from roost.models import ExecResult


class ExecCommand(shapes.Command):
    """Options may follow NAME when `--` marks the command; otherwise all after NAME is the command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.allow_interspersed_args = False
        found, _, _ = self.make_parser(ctx).parse_args(list(args))
        ctx.allow_interspersed_args = any(word.startswith("-") for word in (found.get("command") or [])[:1])
        return super().parse_args(ctx, args)


def exec_(
    ctx: typer.Context,
    name: Name,
    command: Annotated[list[str], typer.Argument(metavar="COMMAND", help="The program and its arguments.")],
    stdin: Annotated[bool, typer.Option("--stdin", "-i", help="Hand over standard input, read to its end.")] = False,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", "-e", metavar="KEY=VALUE", help="Repeatable. KEY alone: its value here."),
    ] = None,
    cwd: Annotated[str | None, typer.Option("--cwd", "-w", metavar="DIR", help="Where it runs.")] = None,
    user: Annotated[str | None, typer.Option("--user", "-u", metavar="USER", help="Name, uid or uid:gid.")] = None,
    replica: Annotated[str | None, typer.Option("--replica", metavar="ID", help="Default: the newest ready.")] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", help="Then it is killed: exit code 124.")
    ] = DEFAULT_SECONDS,
    max_output: Annotated[
        int | None, typer.Option("--max-output", metavar="BYTES", help="Kept of stdout and stderr each (1 MiB).")
    ] = None,
    json: Json = False,
) -> None:
    """Run a command inside a runtime. Its exit code becomes this command's; 128 + N when signal N ended it.

    No shell is involved; for pipes and variables run one: -- sh -c '...'.

        roost {} hello -- ls -l /app
        roost {} hello -e DEBUG=1 -- python -c 'print(1)'
        echo data | roost {} -i hello -- wc -c
    """
    options = {"cwd": cwd, "user": user, "replica": replica, "max_output_bytes": max_output}
    with session.client(ctx) as client:
        result = client.runtimes.get(name).exec(
            command,
            timeout=timeout,
            env=inputs.environment(env or [], []),
            stdin=_read_stdin() if stdin else None,
            **options,  # type: ignore[arg-type]
        )
    output.emit(result) if json else _pass_through(result, timeout)
    raise typer.Exit(result.exit_code)


exec_.command_class = ExecCommand  # type: ignore[attr-defined]


def _read_stdin() -> str:
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise RoostError("cannot hand over standard input: it is not UTF-8 text") from error


def _pass_through(result: ExecResult, timeout: float) -> None:
    sys.stdout.write(result.stdout)
    sys.stdout.flush()
    sys.stderr.write(result.stderr)
    if result.stdout_truncated or result.stderr_truncated:
        output.note("roost: the output was cut; raise the limit with --max-output BYTES")
    if result.timed_out:
        output.note(f"roost: the command was killed after {timeout:g} s; allow more with --timeout SECONDS")
    if result.signal is not None:
        output.note(f"roost: the command was killed by signal {result.signal}")
