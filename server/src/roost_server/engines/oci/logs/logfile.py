"""The log of one replica on disk: numbered segments in the format that conmon's `k8s-file` driver writes.

    2026-11-21T23:24:01.715551589+00:00 stdout F the text

A line whose mark is P instead of F goes on in the next line of the same stream. conmon writes to `current.log` and, at
its size limit, replaces that file by an empty one. Every such file also has a hard link with a number, so the old one
stays; a line is therefore found again by segment number and offset.
"""

import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

CURRENT = "current.log"
BLOCK_BYTES = 256 * 1024
LOOK_BACK_BYTES = 64 * 1024
"""How far back the beginning of a long line is looked for; longer lines come in pieces."""
TIME_LENGTH = 35


class Position(NamedTuple):
    """Where a line's last piece begins."""

    segment: int
    offset: int


class Line(NamedTuple):
    time: bytes
    position: Position
    stream: bytes
    text: bytes


@dataclass(frozen=True)
class Segment:
    number: int
    path: Path

    def size(self) -> int:
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0


class ReplicaLog:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.replica_id = directory.name

    def begin(self) -> Path:
        """An empty segment for a new start of the replica. Answers the path that conmon is to write to."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.segments()
        current = self.directory / CURRENT
        current.unlink(missing_ok=True)
        current.touch(mode=0o600)
        self.segments()
        return current

    def segments(self) -> list[Segment]:
        """Oldest first. A current file that has no number yet is given the next one, so that a number that anybody was
        told means the same file for ever, however often conmon replaces the current one."""
        current = self.directory / CURRENT
        while True:
            numbered = self._numbered()
            if not current.exists() or (numbered and _is_same_file(current, numbered[-1].path)):
                return numbered
            number = numbered[-1].number + 1 if numbered else 1
            try:
                os.link(current, self.directory / f"{number:08}.log")
            except (FileExistsError, FileNotFoundError):
                continue  # somebody else gave it, or removed the log: look again
            except OSError:
                return [*numbered, Segment(number, current)]  # a full disk has no room for a name

    def _numbered(self) -> list[Segment]:
        try:
            found = [entry for entry in self.directory.iterdir() if entry.stem.isdigit() and entry.suffix == ".log"]
        except FileNotFoundError:
            return []
        return sorted((Segment(int(entry.stem), entry) for entry in found), key=lambda segment: segment.number)

    def keep(self, most_bytes: int) -> None:
        """Number the current file if conmon just replaced it, and remove the oldest of the others beyond the limit."""
        segments = self.segments()
        left = most_bytes
        for segment in reversed(segments[:-1]):
            left -= segment.size()
            if left < 0:
                segment.path.unlink(missing_ok=True)

    def end(self) -> Position:
        """After everything written so far."""
        segments = self.segments()
        return Position(segments[-1].number, segments[-1].size()) if segments else Position(0, 0)


def _is_same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except FileNotFoundError:
        return False


def forward(segment: Segment, begin: int, needles: Sequence[bytes], unfinished: bool = True) -> Iterator[Line]:
    """Lines from the offset on. Parts of the file that lack one of the `needles` (lower case) are skipped unread.

    `unfinished`: a last line that lacks its end is given too.
    """
    size = segment.size()
    with _opened(segment) as file:
        while begin < size:
            end = _line_start(file, begin + BLOCK_BYTES, size)
            yield from _lines(file, segment, begin, end, needles, unfinished and end >= size)
            begin = end


def backward(segment: Segment, end: int, needles: Sequence[bytes]) -> Iterator[Line]:
    """Lines that begin before the offset, last first."""
    size = segment.size()
    end = min(end, size)
    with _opened(segment) as file:
        while end > 0:
            begin = _line_start(file, end - BLOCK_BYTES, end)
            if begin >= end:  # one line longer than a block
                begin = 0
            yield from reversed(list(_lines(file, segment, begin, end, needles, end >= size)))
            end = begin


@contextmanager
def _opened(segment: Segment) -> Iterator[int]:
    """The segment's descriptor; that of an empty file when it was removed meanwhile."""
    try:
        descriptor = os.open(segment.path, os.O_RDONLY)
    except FileNotFoundError:
        descriptor = os.open(os.devnull, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def next_line(segment: Segment, offset: int) -> int:
    """Where the first line begins that does not begin before the offset."""
    with _opened(segment) as file:
        return _line_start(file, offset, segment.size())


def _line_start(file: int, offset: int, limit: int) -> int:
    """The first line start at or after the offset, at most `limit`."""
    if offset <= 0:
        return 0
    while offset < limit:
        data = os.pread(file, 16384, offset - 1)
        if not data:
            return limit
        found = data.find(b"\n")
        if found >= 0:
            return min(limit, offset + found)
        offset += len(data)
    return limit


def _lines(file: int, segment: Segment, begin: int, end: int, needles: Sequence[bytes], at_end: bool) -> Iterator[Line]:
    """Whole lines whose last piece begins in the range."""
    data = os.pread(file, end - begin, begin)
    if not _may_hold(data, needles):
        return iter(())
    before = _line_start(file, begin - LOOK_BACK_BYTES, begin)
    earlier = os.pread(file, begin - before, before)
    joined = _join(earlier + data, segment.number, before, at_end)
    return itertools.dropwhile(lambda line: line.position.offset < begin, joined)


def _may_hold(data: bytes, needles: Sequence[bytes]) -> bool:
    """A word may also lie across the pieces of a line."""
    if not needles or b" P " in data:
        return True
    lowered = data.lower()
    return all(needle in lowered for needle in needles)


def _join(data: bytes, number: int, offset: int, at_end: bool) -> Iterator[Line]:
    """Pieces of the same stream into lines. What the crash of a machine garbled is left out."""
    pieces: dict[bytes, list[Line]] = {}
    for raw in data.split(b"\n")[:-1]:
        position, offset = Position(number, offset), offset + len(raw) + 1
        line = Line(raw[:TIME_LENGTH], position, raw[36:42], raw[45:])
        if line.stream not in (b"stdout", b"stderr"):
            continue
        if raw[43:44] == b"P":
            pieces.setdefault(line.stream, []).append(line)
        else:
            yield _joined([*pieces.pop(line.stream, ()), line])
    if at_end:
        yield from sorted((_joined(held) for held in pieces.values()), key=lambda line: line.position)


def _joined(pieces: list[Line]) -> Line:
    return pieces[-1]._replace(text=b"".join(piece.text for piece in pieces)) if len(pieces) > 1 else pieces[0]


def seek(segment: Segment, time: bytes) -> int:
    """The offset of the first line at or after the time, by bisection."""
    low, high = 0, segment.size()
    with _opened(segment) as file:
        size = high
        while low < high:
            middle = _line_start(file, (low + high) // 2, size)
            if middle >= high:
                middle = low
            end = _line_start(file, middle + 1, size)
            if os.pread(file, TIME_LENGTH, middle) < time:
                low = end
            else:
                high = middle
    return low
