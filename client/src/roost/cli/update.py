"""What a runtime serves: deploy a new version, roll back to an earlier one, scale."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from roost import config as configs
from roost.cli import inspection, output, progress, running, serving, session
from roost.cli.options import Json, Name, NoWait, OfEndpoint, PasswordStdin, RegistryUser, Timeout
from roost.config import RunOptions, RuntimeConfig
from roost.errors import NotFoundError
from roost.models import Endpoint

if TYPE_CHECKING:
    from roost.client import Roost
    from roost.runtime import Runtime

NoApply = Annotated[
    bool, typer.Option("--no-apply", help="Only record the version; `roost restart` or `boot` applies it.")
]


def deploy(
    ctx: typer.Context,
    name: Name,
    arguments: running.Arguments = None,
    image: running.Image = None,
    cpus: running.Cpus = None,
    memory: running.Memory = None,
    flavor: running.Flavor = None,
    env: running.Env = None,
    env_file: running.EnvFile = None,
    unset_env: Annotated[
        list[str] | None, typer.Option("--unset-env", metavar="KEY", help="Take a variable away. Repeatable.")
    ] = None,
    port: running.Port = None,
    health_path: running.HealthPath = None,
    no_health: running.NoHealth = False,
    label: running.Label = None,
    replicas: running.Replicas = None,
    max_replicas: running.MaxReplicas = None,
    expose: running.Expose = None,
    command: running.EntryPoint = None,
    registry_username: RegistryUser = None,
    registry_password_stdin: PasswordStdin = False,
    file: running.Document = None,
    from_version: Annotated[
        int | None, typer.Option("--from-version", metavar="N", help="Begin with this version's configuration.", min=1)
    ] = None,
    no_apply: NoApply = False,
    no_wait: NoWait = False,
    timeout: Timeout = 240,
    json: Json = False,
) -> None:
    """Update a runtime without downtime: a new version with what is given changed. Creates it when there is none.

    The new version starts beside the one that serves and takes over when it is ready; one that does not start
    changes nothing. What it replaced stays ready for a while, so that `roost rollback` takes a moment.

        roost {} hello --image registry.example.com/team/hello:v2
        roost {} hello --env MODEL=large --unset-env DEBUG --memory 2g
        roost {} hello --from-version 3
        roost {} hello --image registry.example.com/team/hello:v3 --no-apply
    """
    if file is not None and from_version is not None:
        raise typer.BadParameter("begin with a file or with a version", param_hint="--from-version")
    options, document = running.options(ctx), running.document(file)
    with session.client(ctx) as client:
        runtime = _find(client, name)
        if runtime is None:
            _refuse_for_new(name, from_version, no_apply)
            runtime = client.runtimes.create(name, image, config=document, wait=False, **options)
            say = inspection.say_created
        else:
            base = document or _base(runtime, from_version, options)
            composed = _composed(image, base, options, unset_env or [])
            told = None if json or from_version or document else serving.base(runtime)
            _put(runtime, composed, told, no_apply=no_apply)
            say = say_deployed
        progress.follow(runtime, "deploying", no_wait or no_apply, timeout, json)
        output.emit(runtime) if json else say(runtime)


deploy.command_class = running.Command  # type: ignore[attr-defined]


def _find(client: "Roost", name: str) -> "Runtime | None":
    try:
        return client.runtimes.get(name)
    except NotFoundError:
        return None


def _refuse_for_new(name: str, from_version: int | None, no_apply: bool) -> None:
    if from_version is not None or no_apply:
        option = "--no-apply" if no_apply else "--from-version"
        raise typer.BadParameter(f'there is no runtime "{name}" yet that has a version', param_hint=option)


def _base(runtime: "Runtime", from_version: int | None, options: RunOptions) -> RuntimeConfig:
    """The configuration to begin with. Where one number of a flavor's size is to change, the other stays."""
    version = runtime.get_version(from_version or runtime.version)
    config = cast(dict[str, Any], version.config)
    if config["resources"].get("flavor") and ("cpus" in options or "memory_mb" in options):
        config["resources"] |= {"flavor": None, "cpu_cores": version.cpu_cores, "memory_mb": version.memory_mb}
    return version.config


def _composed(image: str | None, base: RuntimeConfig, options: RunOptions, unset: list[str]) -> RuntimeConfig:
    """The base with what is given changed, and without the variables to take away."""
    config = configs.compose(image, base, options)
    if "health" not in options:
        _suit_probe(config, base)
    variables = config.get("runtime_server", {}).get("env", {})
    for name in unset:
        variables.pop(name, None)
    return config


_USUAL_PROBE = {"port": 8080, "path": "/health", "start_timeout_seconds": 120}


def _suit_probe(config: RuntimeConfig, base: RuntimeConfig) -> None:
    """Of another kind of image, the probe is what suits that kind, unless it was chosen."""
    before, after = (one.get("build", {}).get("source", {}).get("kind", "builtin") for one in (base, config))
    if before != after and config.get("health") == base.get("health") in (None, _USUAL_PROBE):
        config.pop("health", None)


def _put(runtime: "Runtime", config: RuntimeConfig, told: str | None, *, no_apply: bool = False) -> None:
    """`told` is for people, once there is the version."""
    apply: Literal["now", "next_start"] = "next_start" if no_apply else "now"
    runtime.put_config(config, apply=apply, expected_revision=runtime.revision, wait=False)
    if told:
        output.note(told)


def say_deployed(runtime: "Runtime") -> None:
    """What serves after a new version was made, and how it would where it does not."""
    name, number, default = runtime.name, runtime.version, serving.default_of(runtime)
    held = serving.does_not_follow(default)
    if runtime.status == "stopped" and not held:
        print(f"{name} is {output.status('stopped')}; `roost boot {name}` starts version {number}")
    elif runtime.applied_version != number or held:
        print(serving.serves(name, default))
        print(_way_to_serve(runtime, default))
    elif runtime.status == "active":
        print(serving.sentence(name, default))
    else:
        print(f"{name} is {output.status(runtime.status)}; follow it with `roost inspect {name}`")


def _way_to_serve(runtime: "Runtime", default: Endpoint) -> str:
    """Why the newest version does not serve, and what would let it."""
    name, number, is_recorded = runtime.name, runtime.version, runtime.applied_version != runtime.version
    steps = f"  or step by step: roost canary start {name} --to {number}"
    if _is_in_canary(runtime, default):
        made = "recorded" if is_recorded else "made"
        return f"version {number} is {made}; a canary moves the traffic now, see `roost canary show {name}`"
    held = serving.does_not_follow(default)
    if not held:
        return f"version {number} is recorded; `roost restart {name}` applies it\n{steps}"
    update = f"  roost endpoint update {name} {default.name}"
    if not is_recorded or runtime.status == "stopped":
        return f"version {number} is made, but {held}; to let it follow the latest:\n{update} --latest"
    return (
        f"version {number} is recorded, but {held}; to let it serve version {number}:\n{update} --version {number}"
        + ("" if default.split else f"\n{steps}")
    )


def _is_in_canary(runtime: "Runtime", endpoint: Endpoint) -> bool:
    return any(one.endpoint_id == endpoint.id and not one.has_ended for one in runtime.list_canaries())


def rollback(
    ctx: typer.Context,
    name: Name,
    to: Annotated[int | None, typer.Option("--to", metavar="N", help="This version.", min=1)] = None,
    endpoint: OfEndpoint = None,
    no_wait: NoWait = False,
    timeout: Timeout = 240,
    json: Json = False,
) -> None:
    """Let an endpoint serve the version that it served before, or an earlier one.

    It is pinned to that version. Within ten minutes of the update (ROOST_ROLLBACK_SECONDS) the replicas are still
    ready and it takes a moment; later they are started first. Nobody is without an answer meanwhile.

        roost {} hello
        roost {} hello --to 2
        roost {} hello --endpoint canary
    """
    with session.client(ctx) as client:
        runtime = client.runtimes.get(name)
        with progress.of_change(runtime.name, json or no_wait, f"rolling {name} back"):
            began = time.monotonic()
            found = runtime.rollback(to, endpoint, wait=not no_wait, timeout=timeout)
            took = time.monotonic() - began
    if json:
        output.emit({"endpoint": found, "seconds": round(took, 3)})
        return
    after = f" (took {took:.2f} s)" if found.status == "active" else ""
    print(f"{serving.sentence(runtime.name, found)}{after}")
    print(serving.pinned(runtime.name, found))


def scale(
    ctx: typer.Context,
    name: Name,
    least: Annotated[int | None, typer.Option("--min", metavar="N", help="How many replicas always run.")] = None,
    most: Annotated[int | None, typer.Option("--max", metavar="N", help="How many run at most.")] = None,
    cpu: Annotated[
        int | None, typer.Option("--cpu", metavar="PERCENT", help="Start more above this use of their CPU (25-75).")
    ] = None,
    memory: Annotated[
        int | None, typer.Option("--memory", metavar="PERCENT", help="Or above this use of their memory (25-75).")
    ] = None,
    no_wait: NoWait = False,
    timeout: Timeout = 240,
    json: Json = False,
) -> None:
    """Change how many replicas a runtime has, and when there are to be more. Without options, show it.

    This makes a new version, which takes over when its replicas are ready.

        roost {} hello --min 2
        roost {} hello --min 1 --max 4 --cpu 60
        roost {} hello
    """
    given = {"replicas": least, "max_replicas": most, "cpu_utilization": cpu, "memory_utilization": memory}
    options = cast(RunOptions, {name: value for name, value in given.items() if value is not None})
    with session.client(ctx) as client:
        runtime = client.runtimes.get(name)
        config = runtime.get_config()
        if options:
            config = configs.compose(None, config, options)
            _put(runtime, config, None if json else serving.base(runtime))
            progress.follow(runtime, "scaling", no_wait, timeout, json)
            if not json:
                say_deployed(runtime)
    if json:
        output.emit(runtime)
        return
    print(_scaling(runtime, cast(dict[str, Any], config)["autoscaling"]))


def _scaling(runtime: "Runtime", scaling: Mapping[str, int]) -> str:
    least, most = scaling["min_replicas"], scaling["max_replicas"]
    told = f"{runtime.name}: {runtime.replicas.ready} of {runtime.replicas.wanted} replicas ready; "
    if least == most:
        return told + f"always {least}"
    when = f"more above {scaling['cpu_utilization']} % of CPU or {scaling['memory_utilization']} % of memory"
    return told + f"{least} to {most}, {when}"
