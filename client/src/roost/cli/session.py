"""Session: what the options before the command say, and the client they lead to."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from roost.cli import startup

if TYPE_CHECKING:
    from roost.client import Roost


@dataclass
class Session:
    """`json` is set when the command line asks for output that programs read."""

    json: bool = False


def client(ctx: typer.Context, *, timeout: float = 60.0, retries: int = 2) -> "Roost":
    """A client of the server that the options, the environment or the configuration file name."""
    startup.skip_unused_imports()
    from roost.client import Roost

    given: dict[str, Any] = ctx.find_root().params
    return Roost(
        given.get("url"), org=given.get("org"), workspace=given.get("workspace"), timeout=timeout, retries=retries
    )
