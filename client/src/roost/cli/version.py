"""Versions: the configurations a runtime had."""

import typer

from roost.cli import output, session
from roost.cli.options import Json, Name


def versions(ctx: typer.Context, name: Name, json: Json = False) -> None:
    """List a runtime's versions, newest first.

    roost {} hello
    roost {} hello --json
    """
    with session.client(ctx) as client:
        runtime = client.runtimes.get(name)
        found = list(runtime.list_versions())
    if json:
        output.emit(found)
        return
    serving = {endpoint.version for endpoint in runtime.endpoints}
    rows = []
    for one in found:
        image, size = one.config["build"]["source"]["ref"], one.config["resources"]
        rows.append(
            (
                str(one.version),
                "serving" if one.version in serving else "",
                image,
                f"{size['cpu_cores']:g} cores, {size['memory_mb']} MiB",
                output.age(one.created_at),
            )
        )
    output.table(("VERSION", "", "IMAGE", "SIZE", "AGE"), rows)
