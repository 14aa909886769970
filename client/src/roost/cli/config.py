"""A runtime's configuration: read it, change it."""

import json as jsons
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from roost.cli import inputs, output, progress, serving, session, update
from roost.cli.options import Json, Name, NoWait, Timeout
from roost.config import RuntimeConfig


def get(ctx: typer.Context, name: Name, json: Json = False) -> None:
    """Print a runtime's configuration as JSON, ready for `config set -f`.

    roost {} hello > hello.json
    """
    with session.client(ctx) as client:
        output.emit(client.runtimes.get(name).get_config())


def set_(
    ctx: typer.Context,
    name: Name,
    changes: Annotated[
        list[str] | None,
        typer.Argument(metavar="FIELD=VALUE", help="Fields by their path; values as JSON or text."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", metavar="FILE", help="The whole configuration (- is stdin).")
    ] = None,
    no_wait: NoWait = False,
    timeout: Timeout = 240,
    json: Json = False,
) -> None:
    """Change a runtime's configuration. This makes a new version, which takes over when it is ready.

    With --file the whole configuration is replaced: what the file leaves out returns to its default.

        roost {} hello resources.memory_mb=2048 runtime_server.env.MODEL=large
        roost {} hello build.source.ref=registry.example.com/team/hello:v2
        roost {} hello -f hello.json
    """
    if not changes and file is None:
        raise typer.BadParameter("say what to change, or give --file", param_hint="FIELD=VALUE")
    with session.client(ctx) as client:
        runtime = client.runtimes.get(name)
        if file is None:
            document: dict[str, Any] = dict(runtime.get_config())
        else:
            read = inputs.json_of(file, "--file")
            document = read.get("config", read)
        for change in changes or []:
            _apply(document, change)
        told = None if json or file else serving.base(runtime)
        runtime.put_config(cast(RuntimeConfig, document), expected_revision=runtime.revision, wait=False)
        if told:
            output.note(told)
        progress.follow(runtime, "updating", no_wait, timeout, json)
        output.emit(runtime) if json else update.say_deployed(runtime)


def _apply(document: dict[str, Any], change: str) -> None:
    path, _, text = change.partition("=")
    *folders, last = path.split(".") if "=" in change else [""]
    if not last:
        raise typer.BadParameter(f'write "{change}" as FIELD=VALUE', param_hint="FIELD=VALUE")
    place = document
    for folder in folders:
        place[folder] = place.get(folder) or {}
        place = place[folder]
        if not isinstance(place, dict):
            raise typer.BadParameter(
                f'"{path}" leads through {folder}, which holds no fields', param_hint="FIELD=VALUE"
            )
    if path == "resources.flavor" and text != "null":
        place.update(cpu_cores=None, memory_mb=None)
    place[last] = text if folders[-1:] in (["env"], ["labels"]) else _value(text)


def _value(text: str) -> Any:
    try:
        return jsons.loads(text)
    except ValueError:
        return text
