"""Charts of blocks, for terminals: one column a step."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

ROWS = 5
LABEL = 10
_BLOCKS = " ▁▂▃▄▅▆▇█"


def chart(title: str, values: Sequence[float | None], show: Callable[[float], str]) -> list[str]:
    """A title with the last value and the most, then the columns; None leaves one empty."""
    known = [value for value in values if value is not None]
    if not known:
        return []
    top = max(known)
    heights = [_height(value, top) for value in values]
    lines = [f"{title}   now {show(known[-1])}, most {show(top)}"]
    for row in reversed(range(ROWS)):
        label = show(top) if row == ROWS - 1 else "0" if row == 0 else ""
        blocks = "".join(_BLOCKS[min(8, max(0, height - 8 * row))] for height in heights)
        lines.append(f"{label:>{LABEL}} │{blocks}".rstrip())
    return lines


def _height(value: float | None, top: float) -> int:
    """In eighths of a row; what is more than nothing shows."""
    if value is None or value <= 0 or top <= 0:
        return 0
    return max(1, round(8 * ROWS * value / top))


def axis(since: datetime, until: datetime, width: int) -> str:
    """The times under the charts."""
    shape = "%H:%M" if (until - since).total_seconds() <= 86_400 else "%m-%d %H:%M"
    begin, end = (one.astimezone(UTC).strftime(shape) for one in (since, until))
    return f"{'':>{LABEL}} └{begin}{end + ' UTC':>{max(0, width - len(begin))}}"
