"""Log: what replicas wrote to stdout and stderr, and how it is searched."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True)
class LogLine:
    """`cursor` is opaque and orders lines of one runtime; `replica_id` says who wrote it."""

    time: datetime
    stream: Literal["stdout", "stderr"]
    text: str
    replica_id: str
    cursor: str


@dataclass(frozen=True)
class LogQuery:
    """Which lines. `contains` is a case-insensitive keyword; `replica_ids` None: everybody's; `cursor` continues after
    that line in `order`."""

    since: datetime | None = None
    until: datetime | None = None
    contains: str | None = None
    stream: Literal["stdout", "stderr"] | None = None
    replica_ids: Collection[str] | None = None
    order: Literal["asc", "desc"] = "asc"
    limit: int = 100
    cursor: str | None = None


@dataclass(frozen=True)
class LogPage:
    lines: list[LogLine]
    next_cursor: str | None
