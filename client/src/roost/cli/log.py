"""Logs: what a runtime's replicas wrote."""

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from roost.cli import inputs, output, session
from roost.cli.options import Json, Name, OnlyEndpoint
from roost.logs import LogFilter
from roost.models import LogLine

if TYPE_CHECKING:
    from roost.runtime import Runtime


def logs(
    ctx: typer.Context,
    name: Name,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines until Ctrl-C.")] = False,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="From 10m, 2h, 1d ago or RFC 3339.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="Up to that time.")] = None,
    grep: Annotated[str | None, typer.Option("--grep", metavar="TEXT", help="Only lines with it, in any case.")] = None,
    stream: Annotated[
        Literal["stdout", "stderr"] | None, typer.Option("--stream", metavar="stdout|stderr", help="Only this one.")
    ] = None,
    replica: Annotated[str | None, typer.Option("--replica", metavar="ID", help="Only this replica's.")] = None,
    endpoint: OnlyEndpoint = None,
    tail: Annotated[int | None, typer.Option("--tail", "-n", metavar="N", min=0, help="Only the last N.")] = None,
    timestamps: Annotated[bool, typer.Option("--timestamps", "-t", help="Begin lines with their time.")] = False,
    json: Json = False,
) -> None:
    """Print a runtime's logs, oldest first.

    Lines of replicas that are gone are kept. With --endpoint only those of replicas whose versions it serves or served.
    With --json each line is one JSON object.

        roost {} -f hello
        roost {} hello --since 10m --grep error --stream stderr
        roost {} hello --tail 20 -t --endpoint canary
    """
    wanted: LogFilter = {"contains": grep, "stream": stream, "replica": replica, "endpoint": endpoint}
    if since is not None:
        wanted["since"] = inputs.moment(since, "--since")
    if until is not None:
        wanted["until"] = inputs.moment(until, "--until")
    with session.client(ctx) as client:
        runtime = client.runtimes.get(name)
        lines = _lines(runtime, wanted, tail)
        for line in _followed(runtime, wanted, list(lines)) if follow else lines:
            output.emit_line(line) if json else print(_text(line, timestamps), flush=follow)


def _lines(runtime: "Runtime", wanted: LogFilter, tail: int | None) -> Iterator[LogLine]:
    if tail is None:
        return runtime.logs(**wanted)
    newest = islice(runtime.logs(order="desc", **wanted), tail)
    return iter(list(newest)[::-1])


def _followed(runtime: "Runtime", wanted: LogFilter, before: list[LogLine]) -> Iterator[LogLine]:
    """The lines so far, then new ones. The stream begins at the last line's time, so that none is lost between."""
    yield from before
    last = before[-1].time if before else runtime.created_at if wanted.get("since") is None else wanted["since"]
    seen = [line for line in before if line.time == last]
    onward: LogFilter = {**wanted, "since": last}
    for line in runtime.follow_logs(**onward):
        if line in seen:
            seen.remove(line)
        else:
            yield line


def _text(line: LogLine, timestamps: bool) -> str:
    text = output.paint(line.text, "red") if line.stream == "stderr" else line.text
    return f"{output.paint(output.stamp(line.time), 'grey')} {text}" if timestamps else text
