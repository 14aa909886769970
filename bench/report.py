"""What was measured, for people and for programs."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One measure: its samples by side, in `unit`."""

    measure: str
    unit: str
    samples: dict[str, list[float]]
    goal: str = ""

    def median(self, side: str) -> float:
        return statistics.median(self.samples[side])

    def p95(self, side: str) -> float:
        """The smallest sample that 95 % of all do not exceed."""
        ordered = sorted(self.samples[side])
        return ordered[math.ceil(0.95 * len(ordered)) - 1]

    def ratio(self) -> float | None:
        """The first side's median over the second's; None with one side or none to divide by."""
        sides = list(self.samples)
        below = self.median(sides[1]) if len(sides) > 1 else 0
        return self.median(sides[0]) / below if below > 0 else None


def as_json(rows: Sequence[Row]) -> list[dict[str, object]]:
    """One object a row; medians and p95 by side."""
    return [
        {
            "measure": row.measure,
            "unit": row.unit,
            "n": len(next(iter(row.samples.values()))),
            **{side: {"median": round(row.median(side), 3), "p95": round(row.p95(side), 3)} for side in row.samples},
            "ratio": None if (ratio := row.ratio()) is None else round(ratio, 3),
            "goal": row.goal,
        }
        for row in rows
    ]


def as_table(rows: Sequence[Row]) -> str:
    """A table with aligned columns; the ratio is the first side's median over the second's."""
    sides = list(rows[0].samples)
    head = ["", "unit", "n", *[f"{side} {what}" for side in sides for what in ("median", "p95")], "ratio", "goal"]
    lines = [head, *[_cells(row, sides) for row in rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(_pad(cell, width, i) for i, (cell, width) in enumerate(zip(line, widths, strict=True))).rstrip()
        for line in lines
    )


def _cells(row: Row, sides: Sequence[str]) -> list[str]:
    count = len(row.samples[sides[0]])
    values = [_number(value) for side in sides for value in (row.median(side), row.p95(side))]
    if count == 1:
        values[1::2] = [""] * len(sides)
    ratio = row.ratio()
    return [row.measure, row.unit, str(count), *values, "" if ratio is None else f"{ratio:.2f}", row.goal]


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.3f}"


def _pad(cell: str, width: int, column: int) -> str:
    return cell.ljust(width) if column in (0, 1) else cell.rjust(width)
