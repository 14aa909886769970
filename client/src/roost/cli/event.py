"""Events: what happened to a runtime."""

from itertools import islice
from typing import Annotated

import typer

from roost.cli import output, session
from roost.cli.options import Json, Name


def events(
    ctx: typer.Context,
    name: Name,
    tail: Annotated[int, typer.Option("--tail", "-n", metavar="N", min=0, help="Only the last N.")] = 50,
    json: Json = False,
) -> None:
    """Show what happened to a runtime, oldest first.

    roost {} hello
    roost {} hello -n 5
    """
    with session.client(ctx) as client:
        found = list(islice(client.runtimes.get(name).list_events(), tail))[::-1]
    if json:
        output.emit(found)
        return
    output.table(
        ("TIME", "EVENT", "MESSAGE"),
        [(output.stamp(one.created_at), one.type, one.message) for one in found],
    )
