"""Call: send a request to a runtime's agent through the gateway."""

import json as jsons
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from roost.cli import inputs, output, session
from roost.cli.failures import FAILED
from roost.cli.options import Json, Name, OfEndpoint

if TYPE_CHECKING:
    import httpx


def call(
    ctx: typer.Context,
    name: Name,
    path: Annotated[str, typer.Argument(metavar="PATH", help="With its query.")] = "/",
    method: Annotated[
        str | None, typer.Option("--request", "-X", metavar="METHOD", help="Default: GET, with -d POST.")
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", "-d", metavar="DATA", help="The body; @FILE reads a file, - standard input.")
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", metavar="NAME:VALUE", help="Repeatable.")
    ] = None,
    port: Annotated[int | None, typer.Option("--port", metavar="PORT", help="A further port that it exposes.")] = None,
    endpoint: OfEndpoint = None,
    timeout: Annotated[float, typer.Option("--timeout", metavar="SECONDS", help="The longest silence.")] = 300,
    json: Json = False,
) -> None:
    """Send an HTTP request to a runtime.

    The answer is printed as it comes; one of 400 or more exits with 1. A body that is JSON is sent as application/json.

        roost {} hello /health
        roost {} hello /invocations -d '{"prompt": "hi"}'
        roost {} hello /health --endpoint canary
        roost {} hello /upload -X PUT -d @notes.txt -H 'Content-Type: text/plain'
    """
    if port is not None and endpoint is not None:
        raise typer.BadParameter("further ports belong to the default endpoint", param_hint="--endpoint")
    body = _body(data)
    headers = _headers(header or [], body)
    method = method or ("GET" if body is None else "POST")
    with session.client(ctx) as client:
        runtime = client.runtimes.get(name)
        with runtime.stream(
            method, path, content=body, headers=headers, timeout=timeout, exposed_port=port, endpoint=endpoint
        ) as response:
            _print_whole(response) if json else _print_as_it_comes(response)
    if response.status_code >= 400:
        if not json:
            output.note(f"\nroost: {name} answered {response.status_code} {response.reason_phrase}".rstrip())
        raise typer.Exit(FAILED)


def _body(data: str | None) -> bytes | None:
    if data is None:
        return None
    if data == "-" or data == "@-":
        return sys.stdin.buffer.read()
    if not data.startswith("@"):
        return data.encode()
    try:
        return Path(data[1:]).read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"cannot read {data[1:]}: {error.strerror}", param_hint="--data") from error


def _headers(given: list[str], body: bytes | None) -> dict[str, str]:
    for one in given:
        if ":" not in one:
            raise typer.BadParameter(f'write "{one}" as NAME:VALUE', param_hint="--header")
        if not one.isascii():
            raise typer.BadParameter(f'"{one}" has characters beyond ASCII, which no header may', param_hint="--header")
    told = {name.strip(): value.strip() for name, value in (one.split(":", 1) for one in given)}
    if body is not None and not any(name.lower() == "content-type" for name in told):
        told["Content-Type"] = _type_of(body)
    return told


def _type_of(body: bytes) -> str:
    try:
        jsons.loads(body)
    except ValueError:
        return "text/plain; charset=utf-8" if inputs.is_text(body) else "application/octet-stream"
    return "application/json"


def _print_as_it_comes(response: "httpx.Response") -> None:
    last = b"\n"
    for chunk in response.iter_bytes():
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
        last = chunk or last
    if sys.stdout.isatty() and not last.endswith(b"\n"):
        print()


def _print_whole(response: "httpx.Response") -> None:
    response.read()
    try:
        body = response.json()
    except ValueError:
        body = response.text
    output.emit({"status": response.status_code, "headers": dict(response.headers), "body": body})
