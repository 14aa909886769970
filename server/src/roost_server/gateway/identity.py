"""Which process is our Envoy: written down next to its sockets, so that the next server finds it.

A process id alone may belong to somebody else by now; with the time at which the process started and the boot it
cannot. The fingerprint says with which binary and bootstrap it was started.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
START_TIME_FIELD = 19
"""Index of `starttime` after the command in /proc/PID/stat (field 22 of proc(5))."""


@dataclass(frozen=True)
class Identity:
    pid: int
    started_ticks: int
    boot_id: str
    fingerprint: str

    def alive(self) -> bool:
        """Whether this very process still runs."""
        return self.boot_id == _boot_id() and _started_ticks(self.pid) == self.started_ticks


def of(pid: int, fingerprint: str) -> Identity:
    """The identity of a process; of one that ended already, one that is not alive."""
    return Identity(pid, _started_ticks(pid) or 0, _boot_id(), fingerprint)


def fingerprint(*parts: str) -> str:
    """A digest of everything that would make a running Envoy the wrong one."""
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


def read(path: Path) -> Identity | None:
    """The identity written down, or None if there is none that can be read."""
    try:
        return Identity(**json.loads(path.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def write(path: Path, identity: Identity) -> None:
    """Replaces the file in one step."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(dataclasses.asdict(identity)))
    fresh.replace(path)


def find(binary: str, argument: str) -> list[Identity]:
    """Processes of this program with this argument: those that were started and never written down."""
    return [of(pid, "") for pid in _pids() if _is_started_as(pid, binary, argument)]


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _is_started_as(pid: int, binary: str, argument: str) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return False
    return Path(words[0]).name == binary and argument in words


def _boot_id() -> str:
    return BOOT_ID.read_text().strip()


def _started_ticks(pid: int) -> int | None:
    """None for a process that is gone or only waits to be reaped."""
    try:
        after_command = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if after_command[0] in "ZX" else int(after_command[START_TIME_FIELD])
