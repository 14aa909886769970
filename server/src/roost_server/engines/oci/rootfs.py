"""Looking into an image's files from outside, without ever following one of its links out of it."""

import os
import stat
from pathlib import Path, PurePosixPath

MOST_LINKS = 40
MOST_BYTES = 4 * 1024 * 1024


def resolve(root: Path, path: str) -> Path | None:
    """Where `path` leads when `root` is the root directory; None when nothing is there."""
    parts = list(reversed(PurePosixPath(path).parts))
    found = root
    links = 0
    while parts:
        part = parts.pop()
        if part in ("/", "."):
            found = root if part == "/" else found
            continue
        if part == "..":
            found = found.parent if found != root else root
            continue
        try:
            is_link = stat.S_ISLNK((found / part).lstat().st_mode)
        except OSError:
            return None
        if not is_link:
            found = found / part
            continue
        links += 1
        if links > MOST_LINKS:
            return None
        parts += reversed((found / part).readlink().parts)
    return found


def is_executable(root: Path, path: str) -> bool:
    found = resolve(root, path)
    return found is not None and found.is_file() and bool(found.stat().st_mode & 0o111)


def find_executable(root: Path, name: str, search_path: str, workdir: str) -> str | None:
    """The path inside the image that running `name` would run, as execvp(3) looks for it."""
    if "/" in name:
        path = name if name.startswith("/") else f"{workdir}/{name}"
        return path if is_executable(root, path) else None
    for directory in search_path.split(":"):
        candidate = f"{directory or workdir}/{name}"
        if is_executable(root, candidate):
            return candidate
    return None


def read_lines(root: Path, path: str) -> list[str]:
    """The lines of a file of the image; none when it is not there.

    A living box may put something else in its place at any moment, so nothing is followed and nothing is waited for.
    """
    found = resolve(root, path)
    if found is None:
        return []
    try:
        descriptor = os.open(found, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return []
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return []
        return file.read(MOST_BYTES).decode(errors="replace").splitlines()


def make_directory(root: Path, path: str, owner: tuple[int, int]) -> None:
    """Make a directory that is missing, with its parents, all belonging to `owner`. For a root nobody runs in yet."""
    missing: list[str] = []
    wanted = PurePosixPath("/") / path
    while (found := resolve(root, str(wanted))) is None:
        missing.append(wanted.name)
        wanted = wanted.parent
    for name in reversed(missing):
        found = found / name
        found.mkdir()
        os.chown(found, *owner)
