"""Endpoints: list, get, create, update, start, stop, delete."""

from typing import Annotated

import typer

from roost.cli import access, output, progress, serving, session
from roost.cli.options import AnyEndpoint, EndpointName, Json, Name, NoWait, Timeout
from roost.models import Endpoint

NewName = Annotated[str, typer.Argument(metavar="ENDPOINT", help="The new endpoint's name, such as canary.")]
Pin = Annotated[int | None, typer.Option("--version", metavar="N", help="Pin it to this version.", min=1)]


def list_(ctx: typer.Context, name: Name, json: Json = False) -> None:
    """List a runtime's endpoints: what each serves, and who may call it.

    roost {} hello
    """
    with session.client(ctx) as client:
        found = client.runtimes.get(name).list_endpoints()
    output.emit(found) if json else serving.table(found)


def get(ctx: typer.Context, name: Name, endpoint: AnyEndpoint = None, json: Json = False) -> None:
    """Show one endpoint of a runtime.

    roost {} hello
    roost {} hello canary --json
    """
    with session.client(ctx) as client:
        runtime = client.runtimes.get(name)
        found = runtime.default_endpoint() if endpoint is None else runtime.get_endpoint(endpoint)
    if json:
        output.emit(found)
        return
    output.pairs(
        [
            ("endpoint", f"{found.name} (default)" if found.default else found.name),
            ("id", found.id),
            ("runtime", runtime.name),
            ("status", output.status(found.status)),
            ("serves", serving.live(found)),
            ("should serve", serving.aim(found)),
            ("kept ready", serving.kept(found)),
            ("replicas", f"{found.ready_replicas} ready"),
            ("access", serving.access(found)),
            *serving.claims(found),
            *([("trouble", found.message)] if found.message else []),
            ("url", found.url),
            ("created", output.stamp(found.created_at)),
        ]
    )


def create(
    ctx: typer.Context,
    name: Name,
    endpoint: NewName,
    version: Pin = None,
    public: access.Public = False,
    token: access.Token = False,
    jwt_issuer: access.Issuer = None,
    jwks_uri: access.KeysUri = None,
    jwks: access.KeysFile = None,
    audience: access.Audience = None,
    claim: access.Claim = None,
    user_claim: access.UserClaim = None,
    allow: access.Allow = None,
    rate_limit: access.Limit = None,
    no_wait: NoWait = False,
    timeout: Timeout = 240,
    json: Json = False,
) -> None:
    """Give a runtime a further URL. It follows the latest version, unless --version pins it; anybody may call it.

    roost {} hello canary --version 2
    roost {} hello partners --jwt-issuer https://issuer.example.com --audience agents --rate-limit 100/1s
    roost {} hello inside --allow 10.0.0.0/8 --allow 192.168.0.0/16
    """
    rule = access.changed(ctx, {})
    with session.client(ctx) as client:
        runtime = client.runtimes.get(name)
        with progress.of_change(runtime.name, json or no_wait, f"creating {endpoint}"):
            made = runtime.create_endpoint(endpoint, version, rule, wait=not no_wait, timeout=timeout)
    _say(made, runtime.name, json)
    if not json:
        print(f"  url   {made.url}")


def update(
    ctx: typer.Context,
    name: Name,
    endpoint: AnyEndpoint = None,
    version: Pin = None,
    latest: Annotated[bool, typer.Option("--latest", help="Let it follow the latest version.")] = False,
    split: Annotated[
        str | None,
        typer.Option("--split", metavar="N=PERCENT,…", help="Weights that add up to 100, such as 1=90,2=10."),
    ] = None,
    default: Annotated[bool, typer.Option("--default", help="Let the runtime's own URL lead here.")] = False,
    public: access.Public = False,
    token: access.Token = False,
    jwt_issuer: access.Issuer = None,
    jwks_uri: access.KeysUri = None,
    jwks: access.KeysFile = None,
    audience: access.Audience = None,
    no_audience: access.NoAudience = False,
    claim: access.Claim = None,
    no_claim: access.NoClaim = False,
    user_claim: access.UserClaim = None,
    allow: access.Allow = None,
    rate_limit: access.Limit = None,
    no_wait: NoWait = False,
    timeout: Timeout = 240,
    json: Json = False,
) -> None:
    """Change which versions an endpoint serves, who may call it, or which one is the default.

    What serves goes on until the replicas for the change are ready; what is not named stays as it is.

    roost {} hello --version 2
    roost {} hello --split 2=90,3=10
    roost {} hello --latest
    roost {} hello canary --default
    roost {} hello --token --rate-limit 100/1s
    roost {} hello partners --no-audience --claim plan=gold
    """
    _refuse_nothing(ctx)
    if sum((version is not None, latest, split is not None)) > 1:
        raise typer.BadParameter("choose one of --version, --latest and --split", param_hint="--version")
    shares = access.weights(split) if split else None
    with session.client(ctx) as client:
        runtime = client.runtimes.get(name)
        found = runtime.default_endpoint() if endpoint is None else runtime.get_endpoint(endpoint)
        rule = access.changed(ctx, found.access)
        with progress.of_change(runtime.name, json or no_wait, f"updating {found.name}"):
            after = runtime.update_endpoint(
                found.id,
                version=version,
                follow=latest,
                split=shares,
                default=default,
                access=rule,
                expected_revision=found.revision if rule is not None else None,
                wait=not no_wait,
                timeout=timeout,
            )
    _say(after, runtime.name, json, is_moved=rule is None or version is not None or latest or bool(split) or default)
    if rule is not None and not json:
        _say_access(runtime.name, found, after)


def start(
    ctx: typer.Context,
    name: Name,
    endpoint: EndpointName,
    no_wait: NoWait = False,
    timeout: Timeout = 240,
    json: Json = False,
) -> None:
    """Let a stopped endpoint serve again.

    roost {} hello canary
    """
    with session.client(ctx) as client:
        runtime = client.runtimes.get(name)
        with progress.of_change(runtime.name, json or no_wait, f"starting {endpoint}"):
            after = runtime.start_endpoint(endpoint, wait=not no_wait, timeout=timeout)
    _say(after, runtime.name, json)


def stop(
    ctx: typer.Context,
    name: Name,
    endpoint: EndpointName,
    no_wait: NoWait = False,
    timeout: Timeout = 240,
    json: Json = False,
) -> None:
    """Let an endpoint answer 503; replicas that no other endpoint needs are stopped.

    roost {} hello canary
    """
    with session.client(ctx) as client:
        runtime = client.runtimes.get(name)
        with progress.of_change(runtime.name, json or no_wait, f"stopping {endpoint}"):
            after = runtime.stop_endpoint(endpoint, wait=not no_wait, timeout=timeout)
    _say(after, runtime.name, json)


def delete(ctx: typer.Context, name: Name, endpoint: EndpointName, json: Json = False) -> None:
    """Remove an endpoint; its URL answers 404. The default one stays as long as its runtime.

    roost {} hello canary
    """
    with session.client(ctx) as client:
        client.runtimes.get(name).delete_endpoint(endpoint)
    output.emit_line({"name": endpoint, "deleted": True}) if json else print(f"removed {endpoint}")


_NO_CHANGE = ("name", "endpoint", "no_wait", "timeout", "json")


def _refuse_nothing(ctx: typer.Context) -> None:
    if not any(value for option, value in ctx.params.items() if option not in _NO_CHANGE):
        raise typer.BadParameter("say what to change, such as --version N or --token", param_hint="OPTIONS")


def _say_access(name: str, before: Endpoint, after: Endpoint) -> None:
    print(f"access to {after.name} of {name}: {serving.access(after)}")
    if after.access["mode"] == "token" != before.access["mode"]:
        output.note(f"it needs a token now: roost endpoint token create {name} {after.name} TOKEN-NAME")


def _say(endpoint: Endpoint, name: str, as_json: bool, *, is_moved: bool = True) -> None:
    """`is_moved`: what it serves may be another than before."""
    if as_json:
        output.emit(endpoint)
        return
    if is_moved:
        print(serving.sentence(name, endpoint))
    if endpoint.message:
        again = f"it is tried again and again, see `roost endpoint get {name} {endpoint.name}`"
        output.note(f"roost: warning: {endpoint.message}; {again}")
