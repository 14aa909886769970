"""Flavors: the named sizes of replicas. Only administrators change them."""

from typing import Annotated

import typer

from roost.cli import complete, inputs, output, session
from roost.cli.options import Json
from roost.models import Flavor

FlavorName = Annotated[
    str, typer.Argument(metavar="FLAVOR", help="The flavor's name or id.", autocompletion=complete.flavor_names)
]
NewName = Annotated[str, typer.Argument(metavar="FLAVOR", help="The new flavor's name, such as 2x4-general.")]
Description = Annotated[str | None, typer.Option("--description", metavar="TEXT", help="For people.")]


def list_(ctx: typer.Context, json: Json = False) -> None:
    """List the flavors, the smallest first.

    roost {}
    """
    with session.client(ctx) as client:
        found = sorted(client.flavors.list(), key=lambda one: (one.cpu_cores, one.memory_mb, one.name))
    if json:
        output.emit(found)
        return
    rows = [
        (
            one.name,
            f"{one.cpu_cores:g}",
            f"{one.memory_mb} MiB",
            "yes" if one.available else "no, it is too large for this machine",
            one.description,
        )
        for one in found
    ]
    output.table(("FLAVOR", "CORES", "MEMORY", "AVAILABLE", "DESCRIPTION"), rows)


def create(
    ctx: typer.Context,
    flavor: NewName,
    cpus: Annotated[float, typer.Option("--cpus", metavar="CORES", help="CPU cores of a replica.")],
    memory: Annotated[str, typer.Option("--memory", "-m", metavar="MIB", help="Its memory: 512, 2g.")],
    description: Description = None,
    json: Json = False,
) -> None:
    """Add a flavor to the catalogue, which is the same in every workspace.

    roost {} small --cpus 0.5 --memory 512
    """
    with session.client(ctx) as client:
        made = client.flavors.create(flavor, cpus, inputs.memory(memory) or 0, description or "")
    _say(made, json)


def update(
    ctx: typer.Context,
    flavor: FlavorName,
    cpus: Annotated[float | None, typer.Option("--cpus", metavar="CORES", help="CPU cores of a replica.")] = None,
    memory: Annotated[str | None, typer.Option("--memory", "-m", metavar="MIB", help="Its memory: 512, 2g.")] = None,
    description: Description = None,
    json: Json = False,
) -> None:
    """Change a flavor for versions made from now on. Versions that were made of it keep their size.

    roost {} small --memory 1g
    """
    if cpus is None and memory is None and description is None:
        raise typer.BadParameter("say what to change", param_hint="--cpus")
    with session.client(ctx) as client:
        changed = client.flavors.update(
            flavor, cpu_cores=cpus, memory_mb=inputs.memory(memory), description=description
        )
    _say(changed, json)


def delete(ctx: typer.Context, flavor: FlavorName, json: Json = False) -> None:
    """Remove a flavor. Versions that were made of it go on as they are.

    roost {} small
    """
    with session.client(ctx) as client:
        client.flavors.delete(flavor)
    output.emit_line({"name": flavor, "deleted": True}) if json else print(f"removed {flavor}")


def _say(flavor: Flavor, as_json: bool) -> None:
    told = f"{flavor.name}: {output.cores(flavor.cpu_cores)}, {flavor.memory_mb} MiB"
    output.emit(flavor) if as_json else print(told)
