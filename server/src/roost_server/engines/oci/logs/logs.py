"""Logs: searching and following what a runtime's replicas wrote, past replicas included."""

import asyncio
import base64
import heapq
import shutil
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from roost_server.domain import errors
from roost_server.domain.log import LogLine, LogPage, LogQuery
from roost_server.engines.oci.linux import inotify
from roost_server.engines.oci.logs import logfile
from roost_server.engines.oci.logs.logfile import Line, Position, ReplicaLog

EARLIEST, LATEST = b"", b"\xff"
IDLE_SECONDS = 1.0
FORGET_ATTEMPTS = 10
CHANGES = inotify.MODIFIED | inotify.MOVED_IN | inotify.CREATED


class Key(NamedTuple):
    """The order of a runtime's lines, and what a cursor says."""

    time: bytes
    replica_id: str
    position: Position


class Found(NamedTuple):
    key: Key
    line: Line


def read(directory: Path, query: LogQuery) -> LogPage:
    """A page of a runtime's log, whose replicas' logs are the subdirectories. Blocks."""
    after = decode_cursor(query.cursor) if query.cursor else None
    streams = [_replica(log, query, after) for log in replicas(directory, query.replica_ids)]
    descending = query.order == "desc"
    merged = heapq.merge(*streams, key=lambda found: found.key, reverse=descending)
    matching = (found for found in merged if matches(found.line, query))
    page = list(islice(matching, query.limit + 1))
    shown = [present(found) for found in page[: query.limit]]
    return LogPage(shown, shown[-1].cursor if len(page) > query.limit else None)


def replicas(directory: Path, ids: Collection[str] | None) -> list[ReplicaLog]:
    """All of the runtime's, or those with these ids."""
    try:
        return [ReplicaLog(entry) for entry in directory.iterdir() if ids is None or entry.name in ids]
    except FileNotFoundError:
        return []


def _replica(log: ReplicaLog, query: LogQuery, after: Key | None) -> Iterator[Found]:
    """One replica's lines in the query's order, within its times and beyond its cursor."""
    begin = _time(query.since) if query.since else EARLIEST
    end = _time(query.until).replace(b"000+", b"999+") if query.until else LATEST
    needles = _needles(query)
    if query.order == "asc":
        begin = max(begin, after.time) if after else begin
        for line in _ascending(log, begin, end, needles):
            key = Key(line.time, log.replica_id, line.position)
            if after is None or key > after:
                yield Found(key, line)
    else:
        end = min(end, after.time) if after else end
        for line in _descending(log, begin, end, needles):
            key = Key(line.time, log.replica_id, line.position)
            if after is None or key < after:
                yield Found(key, line)


def _needles(query: LogQuery) -> list[bytes]:
    """What every matching line holds; only for ASCII is lower case the same in bytes and in text."""
    words = [query.contains.lower()] if query.contains and query.contains.isascii() else []
    return [word.encode() for word in (*words, *([f" {query.stream} "] if query.stream else []))]


def _ascending(log: ReplicaLog, begin: bytes, end: bytes, needles: Sequence[bytes]) -> Iterator[Line]:
    for segment in log.segments():
        offset = logfile.seek(segment, begin) if begin else 0
        for line in logfile.forward(segment, offset, needles):
            if line.time > end:
                return
            yield line


def _descending(log: ReplicaLog, begin: bytes, end: bytes, needles: Sequence[bytes]) -> Iterator[Line]:
    for segment in reversed(log.segments()):
        offset = logfile.seek(segment, end + b"~")
        for line in logfile.backward(segment, offset, needles):
            if line.time < begin:
                return
            yield line


def matches(line: Line, query: LogQuery) -> bool:
    if query.stream is not None and line.stream != query.stream.encode():
        return False
    return not query.contains or query.contains.lower() in line.text.decode(errors="replace").lower()


def present(found: Found) -> LogLine:
    return LogLine(
        time=datetime.fromisoformat(_microseconds(found.key.time)),
        stream=cast(Literal["stdout", "stderr"], found.line.stream.decode()),
        text=found.line.text.decode(errors="replace"),
        replica_id=found.key.replica_id,
        cursor=encode_cursor(found.key),
    )


def _microseconds(time: bytes) -> str:
    return f"{time[:26].decode()}{time[29:].decode()}"


def _time(value: datetime) -> bytes:
    """As conmon writes it, in UTC."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000+00:00").encode()


def encode_cursor(key: Key) -> str:
    text = f"{key.time.decode()} {key.replica_id} {key.position.segment} {key.position.offset}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> Key:
    """Raises `BadRequest` for what is no cursor of a log."""
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        time, replica_id, segment, offset = text.split(" ")
        return Key(time.encode(), replica_id, Position(int(segment), int(offset)))
    except ValueError as error:
        raise errors.BadRequest("cannot read the log cursor: use one that an earlier answer gave") from error


def tail(log: ReplicaLog, count: int) -> list[str]:
    """The last lines, oldest first."""
    last = list(islice(_descending(log, EARLIEST, LATEST, ()), count))
    return [line.text.decode(errors="replace") for line in reversed(last)]


def forget(directory: Path) -> None:
    """Again when it is not empty in the end: whoever reads a file may just have given it its number."""
    for _ in range(FORGET_ATTEMPTS):
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return


class Follower:
    """Where somebody who follows a runtime's log has come to, in each replica's log."""

    def __init__(self, directory: Path, query: LogQuery) -> None:
        self._directory = directory
        self._query = query
        self._places: dict[str, Position] = {}
        if query.cursor is None and query.since is None:
            for log in replicas(directory, query.replica_ids):
                self._places[log.replica_id] = log.end()

    def first(self) -> list[Found]:
        """What was there already from the query's cursor or time on."""
        after = decode_cursor(self._query.cursor) if self._query.cursor else None
        found: list[Found] = []
        for log in replicas(self._directory, self._query.replica_ids):
            if log.replica_id not in self._places:
                end = log.end()
                asked = LogQuery(since=self._query.since)
                found += [item for item in _replica(log, asked, after) if item.line.position < end]
                self._places[log.replica_id] = end
        return sorted(item for item in found if matches(item.line, self._query))

    def further(self, unfinished: bool) -> list[Found]:
        """What was written since the last call."""
        found: list[Found] = []
        for log in replicas(self._directory, self._query.replica_ids):
            found += self._further(log, unfinished)
        return sorted(item for item in found if matches(item.line, self._query))

    def _further(self, log: ReplicaLog, unfinished: bool) -> Iterator[Found]:
        place = self._places.setdefault(log.replica_id, Position(0, 0))
        for segment in log.segments():
            if segment.number < place.segment:
                continue
            offset = place.offset if segment.number == place.segment else 0
            for line in logfile.forward(segment, logfile.next_line(segment, offset), (), unfinished):
                self._places[log.replica_id] = Position(segment.number, line.position.offset + 1)
                yield Found(Key(line.time, log.replica_id, line.position), line)


async def follow(directory: Path, query: LogQuery, call: Callable[..., Any]) -> AsyncIterator[LogLine]:
    """Lines as they are written, until the caller stops or the log is forgotten. `call` runs what blocks elsewhere."""
    await call(partial(directory.mkdir, parents=True, exist_ok=True))
    with inotify.open_watcher() as watcher:
        _watch(watcher, directory)
        follower: Follower = await call(partial(Follower, directory, query))
        for found in await call(follower.first):
            yield present(found)
        while await call(directory.exists):
            changed = await _changed(watcher)
            _watch(watcher, directory)
            for found in await call(partial(follower.further, unfinished=not changed)):
                yield present(found)


def _watch(watcher: inotify.AnyWatcher, directory: Path) -> None:
    watcher.watch(directory, inotify.CREATED)
    with suppress(FileNotFoundError):
        for entry in directory.iterdir():
            watcher.watch(entry, CHANGES)


async def _changed(watcher: inotify.AnyWatcher) -> bool:
    """Whether something was written; False after a while in which nothing was."""
    try:
        await asyncio.wait_for(watcher.changes(), IDLE_SECONDS)
    except TimeoutError:
        return False
    return True
