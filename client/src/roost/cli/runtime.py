"""Runtimes: create, list, get, start, stop, delete."""

from typing import TYPE_CHECKING, Annotated

import typer

from roost.cli import inputs, inspection, output, progress, running, serving, session
from roost.cli.options import Json, Name, Names, NoWait, PasswordStdin, RegistryUser, Timeout
from roost.config import BUILTIN, RuntimeConfig
from roost.errors import NotFoundError

if TYPE_CHECKING:
    from roost.runtime import Runtime

AWAKE = ("creating", "active", "updating", "stopping", "starting", "paused", "suspended", "error", "deleting")


def create(
    ctx: typer.Context,
    arguments: running.Arguments = None,
    name: Annotated[
        str | None, typer.Option("--name", "-n", metavar="NAME", help="Default: the last part of the image's name.")
    ] = None,
    image: running.Image = None,
    cpus: running.Cpus = None,
    memory: running.Memory = None,
    flavor: running.Flavor = None,
    env: running.Env = None,
    env_file: running.EnvFile = None,
    port: running.Port = None,
    health_path: running.HealthPath = None,
    no_health: running.NoHealth = False,
    label: running.Label = None,
    replicas: running.Replicas = None,
    max_replicas: running.MaxReplicas = None,
    expose: running.Expose = None,
    command: running.EntryPoint = None,
    description: Annotated[str, typer.Option("--description", metavar="TEXT", help="For people.")] = "",
    registry_username: RegistryUser = None,
    registry_password_stdin: PasswordStdin = False,
    file: running.Document = None,
    no_wait: NoWait = False,
    timeout: Timeout = 240,
    json: Json = False,
) -> None:
    """Run an agent: a new runtime from an image, by default builtin:runtime.

    It is ready when GET /health on port 8080 gives 200; change that with --port, --health-path or --no-health.

        roost {} --name hello --image registry.example.com/team/hello:v1 --env MODEL=small
        roost {} --image node-agent --port 3000 --memory 512 --no-wait
        roost {} --image hello --flavor 1x2-general --replicas 1 --max-replicas 4
        roost {} --name box -- sleep infinity
    """
    options, config = running.options(ctx), running.document(file)
    with session.client(ctx) as client:
        runtime = client.runtimes.create(
            name or _name_of(image, config), image, config=config, description=description, wait=False, **options
        )
        progress.follow(runtime, "starting", no_wait, timeout, json)
        output.emit(runtime) if json else inspection.say_created(runtime)


create.command_class = running.Command  # type: ignore[attr-defined]


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
    inputs.pairs(label or [], "--label")
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
    return one.name, told, ready, _versions(one), output.age(one.created_at), one.alias_url or one.url


def _versions(one: "Runtime") -> str:
    """What its own URL leads to, or will when it runs, and the latest where that is another: "3", "3 (latest 4)"."""
    served = serving.versions(serving.default_of(one)) or [one.version]
    told = ",".join(str(version) for version in served)
    return told if one.version in served else f"{told} (latest {one.version})"


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


def restart(
    ctx: typer.Context, names: Names, no_wait: NoWait = False, timeout: Timeout = 240, json: Json = False
) -> None:
    """Replace every replica by a new one of the latest version, without downtime.

    This also applies a version that was only recorded (`roost deploy --no-apply`).

        roost {} hello
    """
    _bring(ctx, names, "restart", "restarting", no_wait, timeout, json)


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
            runtime = getattr(client.runtimes.get(name), verb)(wait=False)
            progress.follow(runtime, doing, no_wait, timeout, json)
            output.emit_line(runtime) if json else print(_became(runtime, verb))


def _became(runtime: "Runtime", verb: str) -> str:
    told = f"{runtime.name} is {output.status(runtime.status)}"
    live = serving.default_of(runtime).live
    return f"{told}, version {live[0].version} serves" if verb == "restart" and len(live) == 1 else told


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
                _delete(client.runtimes.get(name), no_wait, timeout, json)
            except NotFoundError:
                if not force:
                    raise
                continue
            output.emit_line({"name": name, "deleted": True}) if json else print(f"removed {name}")


def _delete(runtime: "Runtime", no_wait: bool, timeout: float, json: bool) -> None:
    with progress.of_change(runtime.name, json or no_wait, f"removing {runtime.name}"):
        runtime.delete(wait=not no_wait, timeout=timeout)
