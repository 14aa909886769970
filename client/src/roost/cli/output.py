"""What people read: tables, ages, sizes, colours on a terminal. What programs read: JSON."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from typing import Any

_COLOURS = {"green": 32, "yellow": 33, "red": 31, "grey": 90, "bold": 1}
_STATUS_COLOURS = {"active": "green", "ready": "green", "error": "red", "failed": "red", "stopped": "grey"}


def has_colours() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str) -> str:
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if has_colours() else text


def status(text: str) -> str:
    """A status word, possibly with its reason, in its colour."""
    return paint(text, _STATUS_COLOURS.get(text.split(" ")[0], "yellow"))


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Aligned columns. The column STATUS is coloured."""
    cells = [list(headers), *([one.split("\n")[0] for one in row] for row in rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(headers))]
    for number, row in enumerate(cells):
        line = "   ".join(one.ljust(width) for one, width in zip(row, widths, strict=True)).rstrip()
        print(paint(line, "bold") if number == 0 else _with_status(line, headers, row, widths))


def _with_status(line: str, headers: Sequence[str], row: list[str], widths: list[int]) -> str:
    if "STATUS" not in headers or not has_colours():
        return line
    place = headers.index("STATUS")
    start = sum(widths[:place]) + 3 * place
    end = start + len(row[place])
    return line[:start] + status(line[start:end]) + line[end:]


def pairs(rows: Sequence[tuple[str, str]]) -> None:
    """`name  value` lines; empty values are left out."""
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        if value:
            print(f"{name.ljust(width)}   {value}")


def emit(value: Any) -> None:
    """JSON on stdout, for programs."""
    print(json.dumps(plain(value), indent=2, ensure_ascii=False))


def emit_line(value: Any) -> None:
    """One line of JSON on stdout, at once."""
    print(json.dumps(plain(value), ensure_ascii=False), flush=True)


def plain(value: Any) -> Any:
    """Dataclasses and times as JSON knows them."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return stamp(value) if isinstance(value, datetime) else value


def stamp(time: datetime) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def age(time: datetime) -> str:
    """ "42s", "5m", "3h", "2d"."""
    seconds = max(0, int((datetime.now(UTC) - time).total_seconds()))
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def size(count: int | None) -> str:
    """ "12.3 MiB"; "-" while unknown."""
    if count is None:
        return "-"
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024 or unit == "GiB":
            break
        amount /= 1024
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def cores(count: float) -> str:
    """ "1 core", "0.5 cores"."""
    return "1 core" if count == 1 else f"{count:g} cores"


def note(text: str) -> None:
    """A remark for people, on stderr."""
    print(text, file=sys.stderr)


def percent(value: float) -> str:
    """ "3 %"; "0.5 %" below one."""
    return f"{value:.1f} %" if 0 < value < 1 else f"{value:.0f} %"


def rate(value: float) -> str:
    """ "12"; "1.5" below ten, "0.02" below one."""
    if value <= 0:
        return "0"
    return f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 10 else f"{value:.0f}"


def milliseconds(value: float) -> str:
    """ "12 ms", "1.5 s"; "<1 ms" below one, for whole milliseconds are counted."""
    if value < 1:
        return "<1 ms"
    return f"{value:.0f} ms" if value < 1000 else f"{value / 1000:.1f} s"
