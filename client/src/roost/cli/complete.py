"""Names for the shell's completion. Whatever fails, the shell gets no names rather than an error."""

import typer

from roost.cli import session
from roost.errors import RoostError

PATIENCE_SECONDS = 2.0


def runtime_names(ctx: typer.Context, incomplete: str) -> list[str]:
    try:
        with session.client(ctx, timeout=PATIENCE_SECONDS, retries=0) as client:
            return [one.name for one in client.runtimes.list() if one.name.startswith(incomplete)]
    except RoostError:
        return []


def image_names(ctx: typer.Context, incomplete: str) -> list[str]:
    try:
        with session.client(ctx, timeout=PATIENCE_SECONDS, retries=0) as client:
            return sorted({one.reference for one in client.images.list() if one.reference.startswith(incomplete)})
    except RoostError:
        return []


def endpoint_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Of the runtime that was named before; while an option waits for its value, names are not yet told from paths."""
    name = ctx.params.get("name") or next(iter(ctx.args), "")
    try:
        with session.client(ctx, timeout=PATIENCE_SECONDS, retries=0) as client:
            found = client.runtimes.get(name).list_endpoints()
            return [one.name for one in found if one.name.startswith(incomplete)]
    except RoostError:
        return []


def flavor_names(ctx: typer.Context, incomplete: str) -> list[str]:
    try:
        with session.client(ctx, timeout=PATIENCE_SECONDS, retries=0) as client:
            return [one.name for one in client.flavors.list() if one.name.startswith(incomplete)]
    except RoostError:
        return []
