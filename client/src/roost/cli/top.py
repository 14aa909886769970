"""Top: how runtimes do at the moment."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from time import sleep
from typing import TYPE_CHECKING, Annotated

import typer

from roost.cli import complete, output, session
from roost.cli.options import Json
from roost.models import EndpointMetrics, ReplicaMetrics, RuntimeFigures

if TYPE_CHECKING:
    from roost.client import Roost

AnyName = Annotated[
    str | None,
    typer.Argument(metavar="NAME", help="Of one runtime, in detail.", autocompletion=complete.runtime_names),
]
LAST = timedelta(minutes=1)
LOOK_SECONDS = 2.0
HEADERS = ("NAME", "STATUS", "REPLICAS", "CPU", "MEMORY", "REQ/S", "ERRORS", "P95")


def top(
    ctx: typer.Context,
    name: AnyName = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again every 2 s until Ctrl-C.")] = False,
    json: Json = False,
) -> None:
    """Show what runtimes use now and what they answered in the last minute; busiest first.

    With a name: what each of its replicas uses, and what each version answers behind each endpoint.

        roost {}
        roost {} --watch
        roost {} hello
    """
    with session.client(ctx) as client:
        while True:
            show = _look(client, name, json)
            if watch and output.has_colours():
                print("\x1b[H\x1b[2J", end="")
            show()
            if not watch:
                return
            sleep(LOOK_SECONDS)


def _look(client: "Roost", name: str | None, json: bool) -> Callable[[], None]:
    """What to print, found out before the screen is cleared."""
    if name is None:
        found = sorted(client.runtimes.figures(), key=lambda one: (-one.cpu_cores, one.name))
        return lambda: output.emit(found) if json else _list(found)
    runtime = client.runtimes.get(name)
    last = runtime.metrics(since=LAST, step_seconds=1)
    if json:
        return lambda: output.emit(last)
    there = {one.id for one in runtime.list_replicas()}
    return lambda: _show([one for one in last.replicas if one.replica_id in there], last.endpoints)


def _list(found: Sequence[RuntimeFigures]) -> None:
    if found:
        output.table(HEADERS, [_row(one) for one in found])
    else:
        output.note("no runtimes; `roost run` starts one")


def _row(one: RuntimeFigures) -> tuple[str, ...]:
    """What nothing was measured of yet shows as "-"."""
    measured = one.cpu_limit_cores > 0
    return (
        one.name,
        one.status,
        f"{one.replicas.ready}/{one.replicas.wanted}",
        f"{one.cpu_cores:.2f} of {one.cpu_limit_cores:g}" if measured else "-",
        f"{output.size(one.memory_bytes)} of {output.size(one.memory_limit_bytes)}" if measured else "-",
        output.rate(one.requests_per_second),
        output.percent(100 * one.error_rate) if one.requests_per_second else "-",
        "-" if one.p95_ms is None else output.milliseconds(one.p95_ms),
    )


def _show(replicas: Sequence[ReplicaMetrics], endpoints: Sequence[EndpointMetrics]) -> None:
    measured = [_replica(one) for one in replicas if one.points]
    if measured:
        output.table(("REPLICA", "VERSION", "CPU", "", "MEMORY", ""), measured)
    else:
        output.note("no replica that runs was measured in the last minute")
    rows = [_endpoint(one) for one in endpoints if one.points]
    if rows:
        print()
        output.table(("ENDPOINT", "VERSION", "REQ/S", "ERRORS", "P50", "P95", "P99"), rows)


def _replica(one: ReplicaMetrics) -> tuple[str, ...]:
    last = one.points[-1]
    return (
        one.replica_id,
        str(one.version),
        f"{last.cpu_cores:.2f} of {one.cpu_limit_cores:g}",
        output.percent(last.cpu_utilization),
        f"{output.size(last.memory_bytes)} of {output.size(one.memory_limit_bytes)}",
        output.percent(last.memory_utilization),
    )


def _endpoint(one: EndpointMetrics) -> tuple[str, ...]:
    """The whole minute, of which each second has a point unless nobody asked anything."""
    requests = sum(point.requests_per_second for point in one.points)
    failed = sum(point.requests_per_second * point.error_rate for point in one.points)
    tails = [(point.p50_ms, point.p95_ms, point.p99_ms) for point in one.points]
    worst = [max((value for value in values if value is not None), default=None) for values in zip(*tails, strict=True)]
    shown = ["-" if value is None else output.milliseconds(value) for value in worst]
    share = output.percent(100 * failed / requests)
    return one.endpoint, str(one.version), output.rate(requests / LAST.total_seconds()), share, *shown
