"""How a canary is shown: as a sentence, whole, in a table, and while it goes on."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from roost.cli import output
from roost.models import CanaryFigures, CanaryState

if TYPE_CHECKING:
    from roost.canaries import Canary


def sentence(canary: CanaryState, runtime: str) -> str:
    """How it stands, in a line, and what to do next."""
    status = output.status(canary.status.replace("_", " "))
    message = f": {canary.message}" if canary.message else ""
    if canary.has_ended:
        return f"canary of {runtime} to version {canary.to_version} {status}{message}"
    told = f"canary of {runtime} to version {canary.to_version} {status} at {canary.weight} %"
    return (
        f"{told}{message if canary.status == 'running' else ''}; follow it with `roost canary show {runtime} --watch`"
    )


def text(canary: CanaryState, runtime: str) -> str:
    """All about it, in lines."""
    steps = ", ".join(f"[{step}]" if at == canary.step else str(step) for at, step in enumerate(canary.steps))
    slower, failing = f"{canary.max_p95_ratio:g} times as slow", f"{canary.max_error_rate:.3%}".replace(".000", "")
    asked = f" and {canary.min_requests} requests" if canary.min_requests else ""
    lines = [
        ("canary", canary.id),
        ("of", f"{runtime}, endpoint {canary.endpoint}"),
        ("status", output.status(canary.status.replace("_", " "))),
        ("steps", f"{steps} %, each {canary.interval_seconds:g} s{asked} or more"),
        ("allowed", f"{failing} of the requests may fail, 95 % of them may be {slower}"),
        ("now" if not canary.has_ended else "ended", doing(canary)),
    ]
    head = [f"{name.ljust(10)}{value}" for name, value in lines]
    return "\n".join([*head, "", *_aligned([_HEADERS, _row(canary.old, "old"), _row(canary.new, "new")])])


def doing(canary: CanaryState) -> str:
    """What it waits for, or how it ended."""
    if canary.message or canary.has_ended:
        return canary.message or ""
    if canary.step_since is None:
        return f"on the way to {canary.weight} %"
    left = canary.step_since + timedelta(seconds=canary.interval_seconds) - datetime.now(UTC)
    return f"at {canary.weight} %, the next step comes in {max(0, round(left.total_seconds()))} s if all goes well"


_HEADERS = ("VERSION", "WEIGHT", "REQUESTS", "FAILED", "P95")


def _row(figures: CanaryFigures, which: str) -> tuple[str, ...]:
    failed = f"{figures.errors} ({figures.error_rate:.1%})"
    p95 = "-" if figures.p95_ms is None else output.milliseconds(figures.p95_ms)
    return f"{figures.version} ({which})", f"{figures.weight} %", str(figures.requests), failed, p95


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return ["   ".join(one.ljust(width) for one, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def table(found: "Sequence[CanaryState]") -> None:
    if not found:
        output.note("no canaries; `roost canary start` starts one")
        return
    headers = ("CANARY", "ENDPOINT", "FROM", "TO", "STATUS", "WEIGHT", "AGE", "MESSAGE")
    output.table(headers, [_line(one) for one in found])


def _line(one: CanaryState) -> tuple[str, ...]:
    status, versions = one.status.replace("_", " "), (str(one.from_version), str(one.to_version))
    weight = f"{one.new.weight} %"
    return one.id, one.endpoint, *versions, status, weight, output.age(one.created_at), one.message or ""


def watch(canary: "Canary", runtime: str, timeout: float, *, as_json: bool) -> None:
    """Show it until it has ended: on a terminal it moves, elsewhere there is a line for each step.

    Raises `CanaryFailed` when it was rolled back or aborted, `WaitTimeout`."""
    try:
        with _shown(runtime, as_json) as on_change:
            canary.wait(timeout, on_change=on_change)
    except KeyboardInterrupt:
        output.note(f"the canary goes on; `roost canary abort {runtime}` takes it back")
        raise


@contextmanager
def _shown(runtime: str, as_json: bool) -> "Iterator[Callable[[Canary], None] | None]":
    if as_json:
        yield None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        with Live(console=Console(stderr=True), transient=True, auto_refresh=False) as live:
            yield lambda canary: live.update(Text.from_ansi(text(canary, runtime)), refresh=True)
    else:
        yield _Lines().show


class _Lines:
    """A line on stderr whenever the step or the status is another one."""

    def __init__(self) -> None:
        self._last: tuple[object, ...] = ()

    def show(self, canary: CanaryState) -> None:
        now = (canary.status, canary.step, canary.step_since is None)
        if now != self._last and not canary.has_ended:
            self._last = now
            output.note(f"{canary.status} at {canary.new.weight} %: {doing(canary)}")
