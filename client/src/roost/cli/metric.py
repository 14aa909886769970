"""Metrics: what was measured of a runtime, drawn."""

import math
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

from roost.cli import inputs, output, plot, session
from roost.cli.options import Json, Name, OnlyEndpoint
from roost.models import Metrics

MOST_COLUMNS = 120


def metrics(
    ctx: typer.Context,
    name: Name,
    endpoint: OnlyEndpoint = None,
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="From 10m, 2h, 1d ago or RFC 3339.")] = "1h",
    json: Json = False,
) -> None:
    """Draw what a runtime's replicas used and what its endpoints answered.

    CPU and memory are the mean of its replicas, in percent of their limits; of several versions the slowest counts.
    With --endpoint only that one, and the replicas of the versions that it served. --json gives the series of each.

        roost {} hello
        roost {} hello --since 6h --endpoint canary
    """
    begin = inputs.moment(since, "--since")
    columns = min(MOST_COLUMNS, max(20, shutil.get_terminal_size().columns - plot.LABEL - 3))
    step = min(86_400, max(1, math.ceil((datetime.now(UTC) - begin).total_seconds() / (columns - 1))))
    with session.client(ctx) as client:
        found = client.runtimes.get(name).metrics(since=begin, step_seconds=step, endpoint=endpoint)
    if json:
        output.emit(found)
        return
    for line in drawn(found):
        print(line)


def drawn(found: Metrics) -> list[str]:
    """The charts, one under the other, and their times."""
    steps = _steps(found)
    charts = [_chart(title, values, show) for title, values, show in _values(found, steps)]
    lines = [line for chart in charts for line in ([*chart, ""] if chart else [])]
    if not lines:
        return ["nothing was measured in that time"]
    return [*lines[:-1], plot.axis(found.since, found.until, len(steps))]


def _chart(title: str, values: Sequence[float | None], show: Callable[[float], str]) -> list[str]:
    lines = plot.chart(title, values, show)
    return lines if title != "errors" or any(values) else lines[:1]


def _steps(found: Metrics) -> list[int]:
    begin, end, step = int(found.since.timestamp()), int(found.until.timestamp()), found.step_seconds
    return list(range(begin - begin % step, end, step))


Chart = tuple[str, Sequence[float | None], Callable[[float], str]]


def _values(found: Metrics, steps: Sequence[int]) -> list[Chart]:
    usage = [(int(point.at.timestamp()), point) for one in found.replicas for point in one.points]
    traffic = [(int(point.at.timestamp()), point) for one in found.endpoints for point in one.points]
    there = _by_step(((at, 1.0) for at, _ in usage), len)
    cpu = _by_step(((at, point.cpu_utilization) for at, point in usage), _mean)
    memory = _by_step(((at, point.memory_utilization) for at, point in usage), _mean)
    asked = _by_step(((at, point.requests_per_second) for at, point in traffic), sum)
    failed = _by_step(((at, point.requests_per_second * point.error_rate) for at, point in traffic), sum)
    slow = _by_step(((at, point.p95_ms) for at, point in traffic if point.p95_ms is not None), max)
    errors = {at: 100 * failed[at] / rate for at, rate in asked.items() if rate}
    charts: list[Chart] = [
        ("replicas", [there.get(at) for at in steps], lambda value: f"{value:.0f}"),
        ("CPU", [cpu.get(at) for at in steps], output.percent),
        ("memory", [memory.get(at) for at in steps], output.percent),
    ]
    if asked:
        charts += [
            ("requests/s", [asked.get(at, 0.0) for at in steps], output.rate),
            ("errors", [errors.get(at, 0.0) for at in steps], output.percent),
            ("p95", [slow.get(at) for at in steps], output.milliseconds),
        ]
    return charts


def _by_step(values: Iterable[tuple[int, float]], join: Callable[[list[float]], float]) -> dict[int, float]:
    grouped: dict[int, list[float]] = defaultdict(list)
    for at, value in values:
        grouped[at].append(value)
    return {at: join(many) for at, many in grouped.items()}


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
