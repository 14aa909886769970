"""Versions: the configurations a runtime had, which of them serve, and what changed between them."""

import json as jsons
from typing import TYPE_CHECKING, Annotated, Any

import typer

from roost.cli import output, session, version_story
from roost.cli.options import Json, Name
from roost.models import Endpoint, Version

if TYPE_CHECKING:
    from roost.runtime import Runtime


def versions(ctx: typer.Context, name: Name, json: Json = False) -> None:
    """List a runtime's versions, newest first, with the endpoints that they serve and those that keep them ready.

    NOTE says which did not start, and which an endpoint or a canary left again, as long as there are events of it.

        roost {} hello
        roost {} hello --json
    """
    with session.client(ctx) as client:
        runtime = client.runtimes.get(name)
        found = list(runtime.list_versions())
        happened = [] if json else list(runtime.list_events())
    if json:
        output.emit(found)
        return
    notes = version_story.outcomes(reversed(happened))
    rows = [(*_row(runtime, one), notes.get(one.version, "")) for one in found]
    output.table(("VERSION", "SERVES", "IMAGE", "SIZE", "AGE", "NOTE"), rows)


def _row(runtime: "Runtime", one: Version) -> tuple[str, ...]:
    flavor = one.config["resources"].get("flavor")
    size = f"{output.cores(one.cpu_cores)}, {one.memory_mb} MiB" + (f" ({flavor})" if flavor else "")
    told = [word for endpoint in runtime.endpoints for word in _share(endpoint, one.version)]
    image = one.config["build"]["source"]["ref"]
    return str(one.version), ", ".join(told) or "-", image, size, output.age(one.created_at)


def _share(endpoint: Endpoint, version: int) -> list[str]:
    """ "DEFAULT 90 %", or "DEFAULT keeps it", or nothing."""
    weights = {one.version: one.weight for one in endpoint.live}
    if version in weights:
        return [endpoint.name if weights[version] == 100 else f"{endpoint.name} {weights[version]} %"]
    is_kept = endpoint.kept is not None and endpoint.kept.version == version
    return [f"{endpoint.name} keeps it ready"] if is_kept else []


def diff(
    ctx: typer.Context,
    name: Name,
    version: Annotated[int, typer.Argument(metavar="N", help="A version.", min=1)],
    other: Annotated[
        int | None, typer.Argument(metavar="M", help="A later one. Default: N against the one before.", min=1)
    ] = None,
    json: Json = False,
) -> None:
    """Show what changed in a runtime's configuration from version N to version M, or what version N changed.

    roost {} hello 3
    roost {} hello 1 3
    """
    with session.client(ctx) as client:
        runtime = client.runtimes.get(name)
        number, before = (version, max(1, version - 1)) if other is None else (other, version)
        found = runtime.diff_versions(number, before)
    if json:
        output.emit(found)
    elif not found.changes:
        output.note(f"version {number} has the configuration of version {before}")
    else:
        rows = [(field, _value(change.was), _value(change.now)) for field, change in found.changes.items()]
        output.table(("FIELD", f"VERSION {before}", f"VERSION {number}"), rows)


def _value(value: Any) -> str:
    return value if isinstance(value, str) and value else jsons.dumps(value, ensure_ascii=False)
