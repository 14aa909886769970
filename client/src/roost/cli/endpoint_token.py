"""Tokens of endpoints: create, list, delete."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from roost.cli import inputs, output, session
from roost.cli.options import EndpointName, Json, Name

if TYPE_CHECKING:
    from roost.runtime import Runtime

NewToken = Annotated[str, typer.Argument(metavar="TOKEN", help="What to call it: the agent sees it as its caller.")]
Token = Annotated[str, typer.Argument(metavar="TOKEN", help="The token's name or id.")]
Expires = Annotated[
    str | None,
    typer.Option("--expires-in", metavar="TIME", help="Such as 12h or 30d. Default: until it is deleted."),
]


def create(
    ctx: typer.Context,
    name: Name,
    endpoint: EndpointName,
    token: NewToken,
    expires_in: Expires = None,
    json: Json = False,
) -> None:
    """Make a token that opens an endpoint whose access mode is token, and print it this once.

    roost {} hello DEFAULT partner
    roost {} hello DEFAULT demo --expires-in 12h
    """
    seconds = None if expires_in is None else inputs.seconds(expires_in, "--expires-in")
    with session.client(ctx) as client:
        made = client.runtimes.get(name).create_endpoint_token(endpoint, token, expires_in_seconds=seconds)
    if json:
        output.emit(made)
        return
    print(made.token)
    output.note(f"it is shown this once; send it as `Authorization: Bearer …` to {endpoint} of {name}")


def list_(ctx: typer.Context, name: Name, endpoint: EndpointName, json: Json = False) -> None:
    """List the tokens of an endpoint, without what is sent.

    roost {} hello DEFAULT
    """
    with session.client(ctx) as client:
        found = client.runtimes.get(name).list_endpoint_tokens(endpoint)
    if json:
        output.emit(found)
        return
    if not found:
        output.note(f"no tokens; `roost endpoint token create {name} {endpoint} TOKEN-NAME` makes one")
        return
    rows = [(one.name, one.id, output.age(one.created_at), _until(one.expires_at)) for one in found]
    output.table(("TOKEN", "ID", "AGE", "EXPIRES"), rows)


def _until(moment: datetime | None) -> str:
    if moment is None:
        return "never"
    return output.stamp(moment) + (" (expired)" if moment <= datetime.now(UTC) else "")


def delete(ctx: typer.Context, name: Name, endpoint: EndpointName, token: Token, json: Json = False) -> None:
    """Remove a token: whoever holds it is refused from now on.

    roost {} hello DEFAULT partner
    """
    with session.client(ctx) as client:
        runtime = client.runtimes.get(name)
        runtime.delete_endpoint_token(endpoint, _id_of(runtime, endpoint, token))
    output.emit_line({"name": token, "deleted": True}) if json else print(f"removed {token}")


def _id_of(runtime: "Runtime", endpoint: str, token: str) -> str:
    for one in runtime.list_endpoint_tokens(endpoint):
        if one.name == token:
            return one.id
    return token
