"""Bodies made of files: an archive as it lies on disk, or a directory as a tar made while it is sent."""

import codecs
import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

from roost.calls import Body
from roost.errors import RoostError
from roost.ignore import Ignore, read_ignore
from roost.models import Progress

CHUNK = 1 << 20
OnProgress = Callable[[Progress], None]


def archive(path: Path, on_progress: OnProgress | None) -> Body:
    """The file's bytes. Raises `RoostError` when it cannot be read."""
    try:
        total = path.stat().st_size
        with path.open("rb"):
            pass
    except OSError as error:
        raise RoostError(f"cannot read {path}: {error.strerror}") from error
    return lambda: _told("uploading", _read(path, total), total, on_progress)


def context(directory: Path, dockerfile: str, on_progress: OnProgress | None) -> Body:
    """The directory as a tar, without what its .dockerignore names. Raises `RoostError` when there is no Dockerfile."""
    if not directory.is_dir():
        raise RoostError(f"cannot build {directory}: it is not a directory")
    if not (directory / dockerfile).is_file():
        raise RoostError(
            f"cannot build {directory}: it holds no {dockerfile}",
            hint="write one, or name another file of that directory with -f",
        )
    ignore = read_ignore(directory, dockerfile)
    return lambda: _told("sending the context", _tar(directory, ignore), 0, on_progress)


def _told(step: str, chunks: Iterator[bytes], total: int, on_progress: OnProgress | None) -> Iterator[bytes]:
    done = 0
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        if on_progress is not None:
            on_progress(Progress(step, done, total))


def _tar(root: Path, ignore: Ignore) -> Iterator[bytes]:
    for name in sorted(_walk(root, ignore)):
        path = root / name
        seen = path.lstat()
        kind = _kind(seen.st_mode)
        if kind is None:
            continue
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode, entry.mtime = kind, stat.S_IMODE(seen.st_mode), int(seen.st_mtime)
        entry.linkname = str(path.readlink()) if kind == tarfile.SYMTYPE else ""
        entry.size = seen.st_size if kind == tarfile.REGTYPE else 0
        yield entry.tobuf(tarfile.PAX_FORMAT)
        if entry.size:
            yield from _read(path, entry.size)
            yield b"\0" * (-entry.size % tarfile.BLOCKSIZE)
    yield b"\0" * (2 * tarfile.BLOCKSIZE)


def _kind(mode: int) -> bytes | None:
    if stat.S_ISDIR(mode):
        return tarfile.DIRTYPE
    if stat.S_ISLNK(mode):
        return tarfile.SYMTYPE
    return tarfile.REGTYPE if stat.S_ISREG(mode) else None


def _walk(root: Path, ignore: Ignore) -> Iterator[str]:
    for folder, folders, files in os.walk(root):
        inside = os.path.relpath(folder, root)
        prefix = "" if inside == "." else f"{inside}/"
        for name in [*folders, *files]:
            if not ignore.excludes(prefix + name):
                yield prefix + name
        folders[:] = [name for name in folders if ignore.may_hold(prefix + name)]


def _read(path: Path, size: int) -> Iterator[bytes]:
    """Exactly `size` bytes, also of a file that grows or shrinks meanwhile."""
    with path.open("rb") as file:
        while size > 0:
            chunk = file.read(min(CHUNK, size)) or b"\0" * min(CHUNK, size)
            size -= len(chunk)
            yield chunk


class LineReader:
    """Bytes as they come, to whole lines of text."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def feed(self, output: bytes, *, final: bool = False) -> None:
        *lines, self._rest = (self._rest + self._decoder.decode(output, final)).split("\n")
        for line in lines:
            self._on_line(line.rstrip("\r"))

    def finish(self) -> None:
        """Hand over what does not end in a newline."""
        self.feed(b"" if not self._rest else b"\n", final=True)
