"""Events: what happened to a runtime."""

from collections.abc import Iterator, Sequence
from itertools import islice, takewhile
from time import sleep
from typing import TYPE_CHECKING, Annotated

import typer

from roost.cli import output, session
from roost.cli.options import Json, Name
from roost.models import Event

if TYPE_CHECKING:
    from roost.runtime import Runtime

LOOK_SECONDS = 1.0


def events(
    ctx: typer.Context,
    name: Name,
    tail: Annotated[int, typer.Option("--tail", "-n", metavar="N", min=0, help="Only the last N.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new ones until Ctrl-C.")] = False,
    json: Json = False,
) -> None:
    """Show what happened to a runtime, oldest first.

    With --follow and --json each event is one line of JSON.

        roost {} hello
        roost {} hello -n 5 -f
    """
    with session.client(ctx) as client:
        runtime = client.runtimes.get(name)
        found = list(islice(runtime.list_events(), max(1, tail)))
        shown = found[:tail][::-1]
        if follow:
            for one in _followed(runtime, shown, found[0].id if found else ""):
                output.emit_line(one) if json else print("   ".join(_row(one)), flush=True)
    if json:
        output.emit(shown)
        return
    output.table(("TIME", "EVENT", "MESSAGE"), [_row(one) for one in shown])


def _followed(runtime: "Runtime", before: Sequence[Event], newest: str) -> Iterator[Event]:
    """Those so far, then new ones, until the command is interrupted or the runtime is gone."""
    yield from before
    while True:
        for one in _since(runtime, newest):
            newest = one.id
            yield one
        sleep(LOOK_SECONDS)


def _since(runtime: "Runtime", newest: str) -> list[Event]:
    """Oldest first. Ids are in the order of time."""
    return list(takewhile(lambda one: one.id > newest, runtime.list_events()))[::-1]


def _row(one: Event) -> tuple[str, str, str]:
    """The last lines of a log are told with the replica that wrote them, and only there."""
    message = _in_one_line(one.message)
    if not one.type.startswith("replica."):
        message = message.split("; last log lines:")[0]
    elif "version" in one.data:
        message = f"version {one.data['version']}: {message}"
    return output.stamp(one.created_at), one.type, message


def _in_one_line(message: str) -> str:
    """Of the log lines that a message ends with, the last, which tends to say why."""
    first, *rest = message.rstrip().split("\n")
    return " ".join([first, *(["…"] if len(rest) > 1 else []), *rest[-1:]])
