"""The entry point: finds the command, runs it, and turns every way to end into an exit code."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from roost import __version__
from roost.cli import catalogue, failures, shapes
from roost.cli.session import Session

COMPLETE_VARIABLE = "_ROOST_COMPLETE"
HELP = """Run AI agents on machines you own: deploy an image, call it, look inside.

\b
  roost run --name hello --image registry.example.com/team/hello:v1
  roost call hello /invocations -d '{"prompt": "hi"}'
  roost exec hello -- ls -l
  roost logs -f hello

The server is found through ROOST_URL and ROOST_TOKEN, or ~/.config/roost/config.toml (see `roost login`).
"""
EPILOG = """\b
Exit codes:
  0  done                       3  not found
  1  it failed                  4  the server cannot be reached
  2  wrong usage                5  it took longer than --timeout
  exec and call: see their help; 130 after Ctrl-C
"""


def main() -> None:
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line; its exit code."""
    session = Session()
    if COMPLETE_VARIABLE in os.environ:
        prepare_completion()
    try:
        ended = root().main(list(arguments), prog_name="roost", standalone_mode=False, obj=session)
        return ended if isinstance(ended, int) else 0
    except KeyboardInterrupt:
        return failures.INTERRUPTED
    except failures.KNOWN as error:
        return failures.report(error, as_json=session.json)


def root() -> shapes.Group:
    """The whole command. Commands are made when they are needed, since most runs need one."""
    app = typer.Typer(cls=shapes.Group, add_completion=False, rich_markup_mode=None)
    app.callback(help=HELP, epilog=EPILOG)(_options)
    group = typer.main.get_group(app)
    assert isinstance(group, shapes.Group)
    return group.holding(catalogue.everything())


def prepare_completion() -> None:
    """Typer knows the shells only after this."""
    from typer._completion_classes import completion_init

    completion_init()


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"roost {__version__}")
        raise typer.Exit


def _options(
    url: Annotated[str | None, typer.Option("--url", metavar="URL", help="The server, instead of ROOST_URL.")] = None,
    org: Annotated[
        str | None, typer.Option("--org", metavar="NAME", help="Organization, instead of ROOST_ORG.")
    ] = None,
    workspace: Annotated[
        str | None, typer.Option("--workspace", metavar="NAME", help="Workspace, instead of ROOST_WORKSPACE.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of every command; `session.client` reads them."""


if __name__ == "__main__":
    main()
