"""Which log lines: filters as typed words, and the calls they mean."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypedDict

from roost import calls
from roost.calls import Call
from roost.errors import RoostError

Moment = datetime | timedelta | str
"""A time; a duration or a text such as "10m" means: that long ago. Other texts are RFC 3339."""

PAGE = 1000
HEARTBEAT_SECONDS = 45.0
RECONNECTS = 5
_AGO = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class LogFilter(TypedDict, total=False):
    """`contains` is a keyword in any case; `replica` an id; `endpoint` a name or id: only replicas of the versions that
    it serves or served."""

    since: Moment | None
    until: Moment | None
    contains: str | None
    stream: Literal["stdout", "stderr"] | None
    replica: str | None
    endpoint: str | None


def page(runtime: str, wanted: LogFilter, order: Literal["asc", "desc"], limit: int, cursor: str | None = None) -> Call:
    """Lines of the runtime that has this path."""
    return calls.get(_path(runtime, wanted), **_params(wanted), order=order, limit=limit, cursor=cursor)


def follow(runtime: str, wanted: LogFilter, last_id: str | None) -> Call:
    """A stream of new lines, or of those after `last_id`."""
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
    params = {**_params(wanted), "follow": True}
    return Call("GET", _path(runtime, wanted), params, None, None, headers, HEARTBEAT_SECONDS, True)


def _path(runtime: str, wanted: LogFilter) -> str:
    endpoint = wanted.get("endpoint")
    return runtime + (calls.path("logs") if endpoint is None else calls.path("endpoints", endpoint, "logs"))


def _params(wanted: LogFilter) -> dict[str, Any]:
    given = {name: value for name, value in wanted.items() if value is not None and name != "endpoint"}
    return given | {name: moment(given[name]).isoformat() for name in ("since", "until") if name in given}


def moment(given: Any) -> datetime:
    """An aware time. Raises `RoostError` for a text that is none."""
    if isinstance(given, datetime):
        return given if given.tzinfo else given.astimezone()
    if isinstance(given, timedelta):
        return datetime.now(UTC) - given
    ago = _AGO.fullmatch(given)
    if ago:
        return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: float(ago[1])})
    try:
        return moment(datetime.fromisoformat(given))
    except ValueError:
        raise RoostError(f'cannot read "{given}" as a time: write 10m, 2h, 1d or 2026-01-31T12:00:00Z') from None
