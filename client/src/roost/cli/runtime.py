"""Runtimes: create, list, get, start, stop, delete."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from roost.cli import inputs, inspection, output, progress, session
from roost.cli.options import Json, Name, Names, NoWait, PasswordStdin, RegistryUser, Timeout
from roost.config import BUILTIN, RunOptions, RuntimeConfig
from roost.errors import NotFoundError

if TYPE_CHECKING:
    from roost.runtime import Runtime

AWAKE = ("creating", "active", "updating", "stopping", "starting", "paused", "suspended", "error", "deleting")


def create(
    ctx: typer.Context,
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="ARG", help="After --: replaces the image's arguments (cmd).")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", "-n", metavar="NAME", help="Default: the last part of the image's name.")
    ] = None,
    image: Annotated[
        str | None, typer.Option("--image", "-i", metavar="IMAGE", help=f"A reference. Default: {BUILTIN}.")
    ] = None,
    cpus: Annotated[float | None, typer.Option("--cpus", metavar="CORES", help="CPU cores (1).")] = None,
    memory: Annotated[str | None, typer.Option("--memory", "-m", metavar="MIB", help="Memory: 512, 2g (1024).")] = None,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", "-e", metavar="KEY=VALUE", help="Repeatable. KEY alone: its value here."),
    ] = None,
    env_file: Annotated[
        list[Path] | None, typer.Option("--env-file", metavar="FILE", help="KEY=VALUE lines. Repeatable.")
    ] = None,
    port: Annotated[int | None, typer.Option("--port", metavar="PORT", help="Where the agent listens (8080).")] = None,
    health_path: Annotated[
        str | None, typer.Option("--health-path", metavar="PATH", help="Must answer 200 (/health).")
    ] = None,
    no_health: Annotated[bool, typer.Option("--no-health", help="Ready as soon as the process runs.")] = False,
    label: Annotated[
        list[str] | None, typer.Option("--label", "-l", metavar="KEY=VALUE", help="For `ps --label`. Repeatable.")
    ] = None,
    replicas: Annotated[int | None, typer.Option("--replicas", metavar="N", help="How many run (1).")] = None,
    expose: Annotated[
        list[int] | None,
        typer.Option("--expose", "--publish", metavar="PORT", help="A further port with a URL of its own. Repeatable."),
    ] = None,
    command: Annotated[
        str | None, typer.Option("--command", metavar="TEXT", help="Replaces the image's entrypoint.")
    ] = None,
    description: Annotated[str, typer.Option("--description", metavar="TEXT", help="For people.")] = "",
    registry_username: RegistryUser = None,
    registry_password_stdin: PasswordStdin = False,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", metavar="FILE", help="The configuration as JSON (- is stdin); options win."),
    ] = None,
    no_wait: NoWait = False,
    timeout: Timeout = 240,
    json: Json = False,
) -> None:
    """Run an agent: a new runtime from an image.

    It is ready when GET /health on port 8080 gives 200; change that with --port, --health-path or --no-health.

        roost {} --name hello --image registry.example.com/team/hello:v1 --env MODEL=small
        roost {} --image node-agent --port 3000 --memory 512 --no-wait
        roost {} --name box -- sleep infinity
    """
    if no_health and (port or health_path):
        raise typer.BadParameter("there is no health check to give a port or path", param_hint="--no-health")
    options: dict[str, Any] = {
        "cpus": cpus,
        "memory_mb": inputs.memory(memory),
        "env": inputs.environment(env or [], env_file or []),
        "port": port,
        "health_path": health_path,
        "health": not no_health,
        "labels": inputs.pairs(label or [], "--label"),
        "replicas": replicas,
        "exposed_ports": expose or None,
        "command": shlex.split(command) if command else None,
        "args": arguments or None,
        "registry_username": registry_username,
        "registry_password": inputs.password(registry_username, registry_password_stdin),
    }
    given = {key: value for key, value in options.items() if value not in (None, {})}
    config = _config_of(file)
    with session.client(ctx) as client:
        with progress.of_runtime(json or no_wait, "starting") as on_change:
            runtime = client.runtimes.create(
                name or _name_of(image, config),
                image,
                config=config,
                description=description,
                wait=not no_wait,
                timeout=timeout,
                on_change=on_change,
                **cast(RunOptions, given),
            )
        output.emit(runtime) if json else inspection.say_created(runtime)


def _config_of(file: Path | None) -> RuntimeConfig | None:
    """The document of a file, which may stand under `config` as the API has it."""
    if file is None:
        return None
    read = inputs.json_of(file, "--file")
    return cast(RuntimeConfig, read.get("config", read))


def _name_of(image: str | None, config: RuntimeConfig | None) -> str:
    source = (config or {}).get("build", {}).get("source", {})
    reference = image or source.get("ref") or BUILTIN
    last = reference.split("@")[0].split("/")[-1]
    return last.split(":")[1 if reference == BUILTIN else 0].lower().replace("_", "-").replace(".", "-")


def list_(
    ctx: typer.Context,
    everything: Annotated[bool, typer.Option("--all", "-a", help="Stopped ones too.")] = False,
    status: Annotated[
        list[str] | None, typer.Option("--status", metavar="STATUS", help="Only these, such as error. Repeatable.")
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option("--label", "-l", metavar="KEY=VALUE", help="Only these. Repeatable.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only names.")] = False,
    json: Json = False,
) -> None:
    """List runtimes, newest first.

    roost {}
    roost {} -a --label team=search
    roost {} --status error --json
    """
    wanted = status or ([] if everything else AWAKE)
    with session.client(ctx) as client:
        found = list(client.runtimes.list(status=wanted, label=label or []))
    if json:
        output.emit(found)
    elif quiet:
        for runtime in found:
            print(runtime.name)
    else:
        _print_runtimes(found, all_shown=everything or bool(status))


def _print_runtimes(found: "list[Runtime]", *, all_shown: bool) -> None:
    if not found:
        output.note(
            "no runtimes"
            + ("" if all_shown else " are running; `roost ps -a` shows stopped ones, `roost run` starts one")
        )
        return
    headers = ("NAME", "STATUS", "READY", "VERSION", "AGE", "URL")
    output.table(headers, [_row(runtime) for runtime in found])


def _row(one: "Runtime") -> tuple[str, ...]:
    told = f"{one.status} ({one.reason})" if one.reason else one.status
    ready = f"{one.replicas.ready}/{one.replicas.wanted}"
    return one.name, told, ready, str(one.version), output.age(one.created_at), one.alias_url or one.url


def get(ctx: typer.Context, name: Name, json: Json = False) -> None:
    """Show all about one runtime.

    State and reason, URLs, image and size, replicas with how long each phase of their start took.

    roost {} hello
    roost {} hello --json
    """
    with session.client(ctx) as client:
        inspection.show(client.runtimes.get(name), as_json=json)


def start(
    ctx: typer.Context, names: Names, no_wait: NoWait = False, timeout: Timeout = 240, json: Json = False
) -> None:
    """Start stopped or failed runtimes again.

    roost {} hello
    """
    _bring(ctx, names, "start", "starting", no_wait, timeout, json)


def stop(ctx: typer.Context, names: Names, no_wait: NoWait = False, timeout: Timeout = 240, json: Json = False) -> None:
    """Stop runtimes. Configuration, URLs and logs are kept; `roost boot` brings them back.

    roost {} hello
    """
    _bring(ctx, names, "stop", "stopping", no_wait, timeout, json)


def _bring(
    ctx: typer.Context, names: list[str], verb: str, doing: str, no_wait: bool, timeout: float, json: bool
) -> None:
    with session.client(ctx) as client:
        for name in names:
            runtime = client.runtimes.get(name)
            with progress.of_runtime(json or no_wait, doing) as on_change:
                getattr(runtime, verb)(wait=not no_wait, timeout=timeout, on_change=on_change)
            output.emit_line(runtime) if json else print(f"{runtime.name} is {output.status(runtime.status)}")


def delete(
    ctx: typer.Context,
    names: Names,
    force: Annotated[bool, typer.Option("--force", "-f", help="A name that does not exist is no error.")] = False,
    no_wait: NoWait = False,
    timeout: Timeout = 240,
    json: Json = False,
) -> None:
    """Remove runtimes with their versions, URLs and logs. This cannot be undone.

    roost {} hello
    roost {} -f hello other
    """
    with session.client(ctx) as client:
        for name in names:
            try:
                client.runtimes.delete(name, wait=not no_wait, timeout=timeout)
            except NotFoundError:
                if not force:
                    raise
                continue
            output.emit_line({"name": name, "deleted": True}) if json else print(f"removed {name}")
