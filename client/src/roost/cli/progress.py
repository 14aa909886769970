"""What goes on while a command waits: a line on the terminal's stderr that moves, and nothing anywhere else.

Who interrupts the waiting is told that the change goes on, since the server has it already.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from roost import waiting
from roost.cli import output
from roost.models import Progress

if TYPE_CHECKING:
    from roost.runtime import Runtime

Show = Callable[[str, int, int], None]
"""What happens, bytes done, bytes in all (0 while unknown)."""


@contextmanager
def line(quiet: bool) -> Iterator[Show | None]:
    """A moving line; None when nobody would see it."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = [SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()]
    sized = [BarColumn(bar_width=30), DownloadColumn(binary_units=True)]
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def show(what: str, done: int, total: int) -> None:
            bar.columns = (*columns, *sized) if total else tuple(columns)
            bar.update(task, description=what, completed=done, total=total or None)

        yield show


@contextmanager
def of_change(name: str, quiet: bool, doing: str) -> Iterator[Show | None]:
    """A moving line, such as "removing hello", while the server changes the runtime of this name."""
    how = f"watch it with `roost inspect {name}` or `roost events {name} -f`"
    with going_on("the change", how), line(quiet) as show:
        if show:
            show(doing, 0, 0)
        yield show


@contextmanager
def going_on(what: str, how: str) -> Iterator[None]:
    """Around the waiting for what the server does anyway."""
    try:
        yield
    except KeyboardInterrupt:
        output.note(f"roost: {what} goes on in the server; {how}")
        raise


@contextmanager
def of_runtime(name: str, quiet: bool, verb: str) -> Iterator["Callable[[Runtime], None] | None"]:
    """For `on_change` of waiting methods: status, reason, and bytes while its image comes."""
    with of_change(name, quiet, f"{verb} {name}") as show:
        yield None if show is None else lambda runtime: show(*_describe(runtime, verb))


def follow(runtime: "Runtime", verb: str, no_wait: bool, timeout: float, as_json: bool) -> None:
    """Wait until what was asked for has settled. Raises `RuntimeFailed`, `WaitTimeout`."""
    if not no_wait:
        with of_runtime(runtime.name, as_json, verb) as on_change:
            runtime.wait(timeout, on_change=on_change)


@contextmanager
def of_image(quiet: bool, verb: str) -> Iterator[Callable[[Progress], None] | None]:
    """For `on_progress` of image methods."""
    with line(quiet) as show:
        yield None if show is None else lambda now: show(now.step or verb, now.done_bytes, now.total_bytes)


def _describe(runtime: "Runtime", verb: str) -> tuple[str, int, int]:
    if runtime.reason == "image_pulling":
        image = runtime.image()
        now = waiting.progress_of(image)
        return f"{now.step or 'waiting for'} {image.reference}", now.done_bytes, now.total_bytes
    message = (runtime.message or "").split("\n")[0]
    return f"{verb} {runtime.name}" + (f": {message}" if message else ""), 0, 0
