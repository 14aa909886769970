"""Which server is used: store it, tell it."""

import getpass
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from roost import __version__, settings
from roost.cli import output, startup
from roost.cli.options import Json
from roost.errors import RoostError


def login(
    ctx: typer.Context,
    url: Annotated[str, typer.Argument(metavar="URL", help="The server.")] = settings.DEFAULT_URL,
    token_stdin: Annotated[bool, typer.Option("--token-stdin", help="Read the token from standard input.")] = False,
    json: Json = False,
) -> None:
    """Store a server's URL and token.

    The token is checked first. The server's first start does this for the user who starts it.

        roost {} http://10.0.0.5:7070
        roost {} http://10.0.0.5:7070 --token-stdin < token
    """
    options = ctx.find_root().params
    org, workspace = options.get("org"), options.get("workspace")
    token = sys.stdin.readline().strip() if token_stdin else _ask()
    if not token:
        raise typer.BadParameter("the token is empty", param_hint="--token-stdin")
    url = settings.check_url(url)
    startup.skip_unused_imports()
    from roost.client import Roost

    with Roost(url, token, org, workspace, retries=1) as client:
        next(iter(client.runtimes.list()), None)
    path = settings.file_path()
    _store(path, {"url": url, "token": token, "org": org, "workspace": workspace})
    output.emit({"url": url, "file": str(path)}) if json else print(f"logged in to {url}; stored in {path}")


def _ask() -> str:
    if not sys.stdin.isatty():
        raise typer.BadParameter("pipe the token in with --token-stdin", param_hint="--token-stdin")
    return getpass.getpass("Token: ", sys.stderr).strip()


def _store(path: Path, values: dict[str, str | None]) -> None:
    """Replace the file at once; only its owner may read it."""
    fresh = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.writelines(f"{key} = {_quoted(value)}\n" for key, value in values.items() if value)
        fresh.replace(path)
    except OSError as error:
        raise RoostError(f"cannot write {path}: {error.strerror}") from error


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def version(ctx: typer.Context, json: Json = False) -> None:
    """Print the version and the server in use.

    roost {}
    """
    options = ctx.find_root().params
    connection = settings.find(options.get("url"), None, options.get("org"), options.get("workspace"))
    told = {"version": __version__, "url": connection.url, "org": connection.org, "workspace": connection.workspace}
    if json:
        output.emit(told)
        return
    workspace = f"{connection.org}/{connection.workspace}"
    output.pairs([("roost", __version__), ("server", connection.url), ("workspace", workspace)])
