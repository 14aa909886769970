"""Users: who a process of a box runs as, looked up in the image's own files."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from roost_server.domain import errors
from roost_server.engines.oci import rootfs

MAPPED = 65536


@dataclass(frozen=True)
class User:
    """`groups` holds `gid` too: who drops the primary group must not gain what is closed to that group."""

    uid: int
    gid: int
    groups: list[int]
    home: str


@dataclass(frozen=True)
class _Entry:
    name: str
    uid: int
    gid: int
    home: str


def look_up(root: Path, wanted: str) -> User:
    """`user`, `uid`, `user:group` or `uid:gid`; empty means root. Raises `Invalid` when the image has no such user."""
    name, _, group = (wanted or "0").partition(":")
    entry = _find(root, name, wanted)
    gid = entry.gid if not group else _group_id(root, group, wanted)
    if not (0 <= entry.uid < MAPPED and 0 <= gid < MAPPED):
        raise _invalid(wanted, f"ids in a replica are below {MAPPED}")
    further = [] if group else [other for other in _groups_of(root, entry.name) if other < MAPPED and other != gid]
    return User(entry.uid, gid, [gid, *further], entry.home)


def _find(root: Path, name: str, wanted: str) -> _Entry:
    for entry in _passwd(root):
        if name == entry.name or (name.isdigit() and int(name) == entry.uid):
            return entry
    if name.isdigit():
        return _Entry("root" if name == "0" else "", int(name), 0, "/root" if name == "0" else "/")
    if name == "root":
        return _Entry("root", 0, 0, "/root")
    raise _invalid(wanted, "the image's /etc/passwd does not name it")


def _passwd(root: Path) -> Iterator[_Entry]:
    for line in rootfs.read_lines(root, "/etc/passwd"):
        fields = line.split(":")
        if len(fields) >= 6 and fields[2].isdigit() and fields[3].isdigit():
            yield _Entry(fields[0], int(fields[2]), int(fields[3]), fields[5] or "/")


def _group(root: Path) -> Iterator[tuple[str, int, list[str]]]:
    for line in rootfs.read_lines(root, "/etc/group"):
        fields = line.split(":")
        if len(fields) >= 4 and fields[2].isdigit():
            yield fields[0], int(fields[2]), fields[3].split(",")


def _group_id(root: Path, group: str, wanted: str) -> int:
    if group.isdigit():
        return int(group)
    for name, gid, _ in _group(root):
        if name == group:
            return gid
    raise _invalid(wanted, f'the image\'s /etc/group does not name "{group}"')


def _groups_of(root: Path, name: str) -> list[int]:
    return [gid for _, gid, members in _group(root) if name and name in members]


def _invalid(wanted: str, why: str) -> errors.Invalid:
    return errors.Invalid(f'cannot run as user "{wanted}": {why}', reason="start_failed")
