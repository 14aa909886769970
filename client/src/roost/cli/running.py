"""What `run` and `deploy` take alike: the options that say what a runtime runs, and what they mean for the SDK."""

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from roost.cli import complete, inputs, shapes
from roost.config import BUILTIN, RunOptions, RuntimeConfig

Arguments = Annotated[
    list[str] | None, typer.Argument(metavar="ARG", help="After --: replaces the image's arguments (cmd).")
]
Image = Annotated[str | None, typer.Option("--image", "-i", metavar="IMAGE", help=f"A reference, or {BUILTIN}.")]
Cpus = Annotated[float | None, typer.Option("--cpus", metavar="CORES", help="CPU cores of a replica (1).")]
Memory = Annotated[str | None, typer.Option("--memory", "-m", metavar="MIB", help="Its memory: 512, 2g (1024).")]
Flavor = Annotated[
    str | None,
    typer.Option(
        "--flavor", metavar="NAME", help="A named size instead of both.", autocompletion=complete.flavor_names
    ),
]
Env = Annotated[
    list[str] | None,
    typer.Option("--env", "-e", metavar="KEY=VALUE", help="Repeatable. KEY alone: its value here."),
]
EnvFile = Annotated[list[Path] | None, typer.Option("--env-file", metavar="FILE", help="KEY=VALUE lines. Repeatable.")]
Port = Annotated[int | None, typer.Option("--port", metavar="PORT", help="Where the agent listens (8080).")]
HealthPath = Annotated[str | None, typer.Option("--health-path", metavar="PATH", help="Must answer 200 (/health).")]
NoHealth = Annotated[bool, typer.Option("--no-health", help="Ready as soon as the process runs.")]
Label = Annotated[
    list[str] | None, typer.Option("--label", "-l", metavar="KEY=VALUE", help="For `ps --label`. Repeatable.")
]
Replicas = Annotated[int | None, typer.Option("--replicas", metavar="N", help="How many always run (1).")]
MaxReplicas = Annotated[
    int | None, typer.Option("--max-replicas", metavar="N", help="How many run at most when they are busy.")
]
Expose = Annotated[
    list[int] | None,
    typer.Option("--expose", "--publish", metavar="PORT", help="A further port with a URL of its own. Repeatable."),
]
EntryPoint = Annotated[str | None, typer.Option("--command", metavar="TEXT", help="Replaces the image's entrypoint.")]
Document = Annotated[
    Path | None,
    typer.Option("--file", "-f", metavar="FILE", help="The configuration as JSON (- is stdin); options win."),
]


class Command(shapes.Command):
    """Only what stands after `--` is for the agent, so that a word without its option is not taken for that."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        marked = args[args.index("--") + 1 :] if "--" in args else []
        rest = super().parse_args(ctx, args)
        given: list[str] = list(ctx.params.get("arguments") or ())
        if len(given) > len(marked):
            told = f'"{given[0]}" lacks its option, such as --image {given[0]}; arguments of the agent stand after --'
            raise typer.BadParameter(told, ctx=ctx, param_hint="ARG")
        return rest


def options(ctx: typer.Context) -> RunOptions:
    """What was given of the options above, as the SDK's short words."""
    typed: dict[str, Any] = ctx.params
    if typed["no_health"] and (typed["port"] or typed["health_path"]):
        raise typer.BadParameter("there is no health check to give a port or path", param_hint="--no-health")
    if typed["flavor"] and (typed["cpus"] or typed["memory"]):
        raise typer.BadParameter("a flavor says the CPU cores and the memory", param_hint="--flavor")
    meant = {
        "cpus": typed["cpus"],
        "memory_mb": inputs.memory(typed["memory"]),
        "flavor": typed["flavor"],
        "env": inputs.environment(typed["env"] or [], typed["env_file"] or []),
        "port": typed["port"],
        "health_path": typed["health_path"],
        "health": False if typed["no_health"] else None,
        "labels": inputs.pairs(typed["label"] or [], "--label"),
        "replicas": typed["replicas"],
        "max_replicas": typed["max_replicas"],
        "exposed_ports": list(typed["expose"] or ()) or None,
        "command": inputs.words(typed["command"], "--command"),
        "args": list(typed["arguments"] or ()) or None,
        "registry_username": typed["registry_username"],
        "registry_password": inputs.password(typed["registry_username"], typed["registry_password_stdin"]),
    }
    return cast(RunOptions, {key: value for key, value in meant.items() if value not in (None, {})})


def document(file: Path | None) -> RuntimeConfig | None:
    """The configuration in a file, which may stand under `config` as the API has it."""
    if file is None:
        return None
    read = inputs.json_of(file, "--file")
    return cast(RuntimeConfig, read.get("config", read))
