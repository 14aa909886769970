"""Canaries: start, show, list, pause, resume, promote, abort, retry."""

from typing import TYPE_CHECKING, Annotated

import typer

from roost.cli import canary_view, output, serving, session
from roost.cli.options import Json, Name, OfEndpoint, Timeout
from roost.config import CanaryOptions

if TYPE_CHECKING:
    from roost.canaries import Canary
    from roost.runtime import Runtime

DAY = 86_400.0
Which = Annotated[str, typer.Option("--canary", metavar="ID", help="Another one than that under way, or the last.")]
Wait = Annotated[bool, typer.Option("--wait", help="Watch it until it has ended; exit code 1 if it was rolled back.")]


def start(
    ctx: typer.Context,
    name: Name,
    to: Annotated[
        int | None, typer.Option("--to", metavar="N", min=1, help="The version that takes over. Default: the latest.")
    ] = None,
    endpoint: OfEndpoint = None,
    steps: Annotated[
        str, typer.Option("--steps", metavar="PERCENT,…", help="Its shares of the traffic, rising to 100.")
    ] = "5,25,50,100",
    interval: Annotated[
        float, typer.Option("--interval", metavar="SECONDS", min=0, help="How long each step lasts at least (60).")
    ] = 60,
    max_error_rate: Annotated[
        float, typer.Option("--max-error-rate", metavar="SHARE", min=0, max=1, help="How many may fail (0.01).")
    ] = 0.01,
    max_p95_ratio: Annotated[
        float,
        typer.Option("--max-p95-ratio", metavar="RATIO", min=1, help="95th percentile over the old version's (1.5)."),
    ] = 1.5,
    min_requests: Annotated[
        int, typer.Option("--min-requests", metavar="N", min=0, help="That it must have had in each step (20).")
    ] = 20,
    wait: Wait = False,
    timeout: Timeout = DAY,
    json: Json = False,
) -> None:
    """Give a version a growing share of the traffic. It is rolled back by itself when it does worse than the old one.

    Record the version first with `roost deploy --no-apply`. Each step begins when the new version has the replicas
    for its share.

        roost {} hello
        roost {} hello --to 2 --steps 10,50,100 --interval 300 --wait
        roost {} hello --to 2 --endpoint partners --max-error-rate 0.001
    """
    options: CanaryOptions = {
        "steps": _steps(steps),
        "interval_seconds": interval,
        "max_error_rate": max_error_rate,
        "max_p95_ratio": max_p95_ratio,
        "min_requests": min_requests,
    }
    with session.client(ctx) as client:
        runtime = client.runtimes.get(name)
        _say(runtime, runtime.start_canary(to or runtime.version, endpoint, **options), wait, timeout, json)


def _steps(text: str) -> list[int]:
    try:
        return [int(part.strip().removesuffix("%")) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(f'write "{text}" as percents, such as 5,25,50,100', param_hint="--steps") from None


def show(
    ctx: typer.Context,
    name: Name,
    which: Which = "current",
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow it until it has ended.")] = False,
    timeout: Timeout = DAY,
    json: Json = False,
) -> None:
    """Show how a canary stands: both versions' requests, errors and 95th percentile.

    roost {} hello
    roost {} hello --watch
    """
    with session.client(ctx) as client:
        canary = client.runtimes.get(name).canary(which)
        if watch and not canary.has_ended:
            canary_view.watch(canary, name, timeout, as_json=json)
        output.emit(canary) if json else print(canary_view.text(canary, name))


def list_(ctx: typer.Context, name: Name, json: Json = False) -> None:
    """List a runtime's canaries, newest first.

    roost {} hello
    """
    with session.client(ctx) as client:
        found = list(client.runtimes.get(name).list_canaries())
    output.emit(found) if json else canary_view.table(found)


def pause(ctx: typer.Context, name: Name, which: Which = "current", json: Json = False) -> None:
    """Keep a canary's weight where it is. It is still rolled back when it does worse.

    roost {} hello
    """
    _act(ctx, name, which, "pause", json)


def resume(ctx: typer.Context, name: Name, which: Which = "current", json: Json = False) -> None:
    """Let a paused canary go on.

    roost {} hello
    """
    _act(ctx, name, which, "resume", json)


def promote(
    ctx: typer.Context,
    name: Name,
    which: Which = "current",
    wait: Wait = False,
    timeout: Timeout = DAY,
    json: Json = False,
) -> None:
    """Give the new version all traffic now, as soon as it has the replicas for it.

    roost {} hello --wait
    """
    _act(ctx, name, which, "promote", json, wait, timeout)


def abort(ctx: typer.Context, name: Name, which: Which = "current", json: Json = False) -> None:
    """Give the old version all traffic back, at once.

    roost {} hello
    """
    _act(ctx, name, which, "abort", json)


def retry(
    ctx: typer.Context,
    name: Name,
    which: Which = "current",
    wait: Wait = False,
    timeout: Timeout = DAY,
    json: Json = False,
) -> None:
    """Start a canary that was rolled back or aborted again, with the same parameters.

    roost {} hello
    """
    _act(ctx, name, which, "retry", json, wait, timeout)


def _act(
    ctx: typer.Context, name: str, which: str, verb: str, json: bool, wait: bool = False, timeout: float = DAY
) -> None:
    with session.client(ctx) as client:
        runtime = client.runtimes.get(name)
        _say(runtime, getattr(runtime.canary(which), verb)(), wait, timeout, json)


def _say(runtime: "Runtime", canary: "Canary", wait: bool, timeout: float, json: bool) -> None:
    if wait:
        canary_view.watch(canary, runtime.name, timeout, as_json=json)
    if json:
        output.emit(canary)
        return
    print(canary_view.sentence(canary, runtime.name))
    endpoint = runtime.get_endpoint(canary.endpoint_id) if canary.status == "succeeded" else None
    if endpoint is not None and endpoint.pinned:
        print(serving.pinned(runtime.name, endpoint))
