"""Options and arguments that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from roost.cli import complete


def _remember_json(ctx: typer.Context, wanted: bool) -> bool:
    if wanted and ctx.obj is not None:
        ctx.obj.json = True
    return wanted


Json = Annotated[
    bool, typer.Option("--json", is_eager=True, callback=_remember_json, help="Print JSON, also for errors.")
]
Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="The runtime's name or id.", autocompletion=complete.runtime_names),
]
Names = Annotated[
    list[str],
    typer.Argument(metavar="NAME", help="Names or ids of runtimes.", autocompletion=complete.runtime_names),
]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Return at once; it goes on in the background.")]
Timeout = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", min=0, help="How long to wait at most (then exit code 5).")
]
ImageName = Annotated[
    str,
    typer.Argument(metavar="IMAGE", help="Reference, digest or id.", autocompletion=complete.image_names),
]
RegistryUser = Annotated[str | None, typer.Option("--registry-username", metavar="USER", help="Login of the registry.")]
PasswordStdin = Annotated[
    bool, typer.Option("--registry-password-stdin", help="Read the registry's password from standard input.")
]
InputFile = Annotated[Path, typer.Option("--file", "-f", metavar="FILE", help="A JSON file; - is standard input.")]
EndpointName = Annotated[
    str,
    typer.Argument(metavar="ENDPOINT", help="The endpoint's name or id.", autocompletion=complete.endpoint_names),
]
AnyEndpoint = Annotated[
    str | None,
    typer.Argument(metavar="ENDPOINT", help="Default: the default one.", autocompletion=complete.endpoint_names),
]
OfEndpoint = Annotated[
    str | None,
    typer.Option(
        "--endpoint", metavar="ENDPOINT", help="Another one than the default.", autocompletion=complete.endpoint_names
    ),
]
OnlyEndpoint = Annotated[
    str | None,
    typer.Option(
        "--endpoint",
        metavar="ENDPOINT",
        help="Only what stands or stood behind this one.",
        autocompletion=complete.endpoint_names,
    ),
]
