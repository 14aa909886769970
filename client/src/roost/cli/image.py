"""Images: build, list, get, pull, push, load, delete."""

from pathlib import Path
from typing import Annotated

import typer

from roost.cli import inputs, output, progress, session
from roost.cli.options import ImageName, Json, NoWait, PasswordStdin, RegistryUser, Timeout
from roost.models import Image

LocalName = Annotated[str, typer.Option("--name", "-t", metavar="NAME", help="The image's local name, such as hello.")]


def build(
    ctx: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The context; .dockerignore is honoured.")],
    name: LocalName,
    dockerfile: Annotated[
        str, typer.Option("--file", "-f", metavar="FILE", help="The Dockerfile, within DIR.")
    ] = "Dockerfile",
    build_arg: Annotated[list[str] | None, typer.Option("--build-arg", metavar="KEY=VALUE", help="Repeatable.")] = None,
    timeout: Timeout = 1800,
    json: Json = False,
) -> None:
    """Build an image from a Dockerfile, on the server. No Docker is needed.

    roost {} . -t hello
    roost {} agents/search -t search:v2 --build-arg BASE=python:3.12
    """
    arguments = inputs.pairs(build_arg or [], "--build-arg")
    with session.client(ctx) as client, progress.of_image(json, "sending the context") as on_progress:
        image = client.images.build(
            directory,
            name,
            dockerfile=_within(directory, dockerfile),
            build_args=arguments,
            timeout=timeout,
            on_line=output.note,
            on_progress=on_progress,
        )
    _say(image, json, f"roost run --image {image.reference.removesuffix(':latest')}")


def _within(directory: Path, dockerfile: str) -> str:
    """The Dockerfile as the context names it; it may also be given as a path from here, as in Docker."""
    here = Path(dockerfile).resolve()
    if (directory / dockerfile).is_file() and not Path(dockerfile).is_absolute():
        return dockerfile
    return str(here.relative_to(directory.resolve())) if here.is_relative_to(directory.resolve()) else dockerfile


def list_(ctx: typer.Context, json: Json = False) -> None:
    """List images, newest first.

    roost {}
    """
    with session.client(ctx) as client:
        found = list(client.images.list())
    if json:
        output.emit(found)
        return
    newest: dict[str, str] = {}
    for one in found:
        newest.setdefault(one.reference, one.id)
    rows = [
        (
            one.reference,
            _status(one, is_replaced=newest[one.reference] != one.id),
            one.source,
            (one.digest or "-").removeprefix("sha256:")[:12],
            output.size(one.size_bytes),
            output.age(one.created_at),
        )
        for one in found
    ]
    output.table(("IMAGE", "STATUS", "FROM", "DIGEST", "SIZE", "AGE"), rows)


def _status(image: Image, *, is_replaced: bool) -> str:
    """`is_replaced`: another of its name was made since, which a new version would get."""
    if image.reason:
        return f"{image.status} ({image.reason})"
    return f"{image.status}, replaced" if is_replaced and image.status == "ready" else image.status


def get(ctx: typer.Context, image: ImageName, json: Json = False) -> None:
    """Show one image.

    roost {} hello
    """
    with session.client(ctx) as client:
        found = client.images.get(image)
    if json:
        output.emit(found)
        return
    output.pairs(
        [
            ("image", found.reference),
            ("id", found.id),
            ("status", output.status(found.status) + (f" ({found.reason})" if found.reason else "")),
            ("message", found.message or ""),
            ("from", found.source),
            ("digest", found.digest or ""),
            ("platform", found.architecture or ""),
            ("size", output.size(found.size_bytes)),
            ("created", output.stamp(found.created_at)),
        ]
    )


def pull(
    ctx: typer.Context,
    reference: Annotated[str, typer.Argument(metavar="REFERENCE", help="Such as registry.example.com/team/hello:v1.")],
    registry_username: RegistryUser = None,
    registry_password_stdin: PasswordStdin = False,
    no_wait: NoWait = False,
    timeout: Timeout = 600,
    json: Json = False,
) -> None:
    """Fetch an image ahead of its first use.

    roost {} registry.example.com/team/hello:v1
    roost {} registry.example.com/team/hello:v1 --registry-username me --registry-password-stdin < pw
    """
    password = inputs.password(registry_username, registry_password_stdin)
    stays = progress.going_on("the pull", "see `roost image ls`")
    with session.client(ctx) as client, stays, progress.of_image(json or no_wait, "pulling") as on_progress:
        image = client.images.pull(
            reference,
            username=registry_username,
            password=password,
            wait=not no_wait,
            timeout=timeout,
            on_progress=on_progress,
        )
    _say(image, json, f"roost run --image {reference}")


def push(
    ctx: typer.Context,
    image: ImageName,
    reference: Annotated[str, typer.Argument(metavar="REFERENCE", help="Where to, with the registry's host.")],
    registry_username: RegistryUser = None,
    registry_password_stdin: PasswordStdin = False,
    no_wait: NoWait = False,
    timeout: Timeout = 600,
    json: Json = False,
) -> None:
    """Send an image to a registry.

    roost {} hello registry.example.com/team/hello:v1
    """
    password = inputs.password(registry_username, registry_password_stdin)
    with session.client(ctx) as client, progress.line(json or no_wait) as show:
        if show:
            show(f"pushing {reference}", 0, 0)
        sent = client.images.push(
            image, reference, username=registry_username, password=password, wait=not no_wait, timeout=timeout
        )
    output.emit(sent) if json else print(f"pushed {reference}" if sent.status == "ready" else f"pushing {reference}")


def load(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An oci-archive or docker-archive (`docker save`).")],
    name: LocalName,
    no_wait: NoWait = False,
    timeout: Timeout = 600,
    json: Json = False,
) -> None:
    """Import an image from an archive.

    roost {} hello.tar -t hello
    """
    with session.client(ctx) as client, progress.of_image(json or no_wait, "loading") as on_progress:
        image = client.images.load(file, name, wait=not no_wait, timeout=timeout, on_progress=on_progress)
    _say(image, json, f"roost run --image {image.reference.removesuffix(':latest')}")


def delete(
    ctx: typer.Context,
    images: Annotated[list[str], typer.Argument(metavar="IMAGE", help="References, digests or ids.")],
    json: Json = False,
) -> None:
    """Remove images that no runtime's version uses.

    roost {} hello
    """
    with session.client(ctx) as client:
        for name in images:
            client.images.delete(name)
            output.emit_line({"name": name, "deleted": True}) if json else print(f"removed {name}")


def _say(image: Image, as_json: bool, next_step: str) -> None:
    if as_json:
        output.emit(image)
    elif image.status != "ready":
        print(f"{image.reference} is {output.status(image.status)}; see `roost image ls`")
    else:
        print(f"{image.reference} is {output.status('ready')}, {output.size(image.size_bytes)}, {image.digest}")
        print(f"  run it   {next_step}")
