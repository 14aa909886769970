"""cgroups: version 2, version 1 and both at once. What boxes are limited, counted and killed by.

runc makes a box's own cgroup; this file makes the parents, one cgroup more for every exec (so that all it started can
be killed), reads what is used, and removes what is left. On systemd's hosts the parent stands beside systemd's slices,
so that stopping the server's unit kills neither boxes nor their monitors.
"""

import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from time import monotonic, sleep

from roost_server.domain.replica import Usage

ROOT = Path("/sys/fs/cgroup")
NEEDED = ("cpu", "memory", "pids")
WANTED_V2 = ("cpu", "memory", "pids", "io", "cpuset")
REMOVE_SECONDS = 20.0


@dataclass(frozen=True)
class Hierarchies:
    """Where controllers are mounted. `unified` is version 2's mount, which on a hybrid host has no controllers."""

    v1: dict[str, Path]
    unified: Path | None

    @property
    def mode(self) -> str:
        if not self.v1:
            return "v2" if self.unified else "none"
        return "hybrid" if self.unified else "v1"

    @cached_property
    def roots(self) -> list[Path]:
        return [*dict.fromkeys(self.v1.values()), *([self.unified] if self.unified else [])]

    def controllers(self) -> set[str]:
        if self.mode == "v2" and self.unified:
            return set((self.unified / "cgroup.controllers").read_text().split())
        return set(self.v1)


def detect(mounts: str | None = None) -> Hierarchies:
    """Read /proc/self/mounts."""
    v1: dict[str, Path] = {}
    unified = None
    for line in (mounts if mounts is not None else Path("/proc/self/mounts").read_text()).splitlines():
        _, target, kind, options = line.split()[:4]
        if kind == "cgroup2":
            unified = unified or Path(target)
        elif kind == "cgroup":
            for name in _controllers_of(options):
                v1.setdefault(name, Path(target))
    return Hierarchies(v1, unified)


def _controllers_of(options: str) -> Iterable[str]:
    general = {"rw", "ro", "relatime", "nosuid", "nodev", "noexec", "xattr", "clone_children", "favordynmods"}
    return [word for word in options.split(",") if word not in general and not word.startswith("release_agent")]


class Cgroups:
    """The cgroups of one installation below `parent`."""

    def __init__(self, parent: str, hierarchies: Hierarchies | None = None) -> None:
        self._parent = parent
        self._hierarchies = hierarchies or detect()

    def prepare(self) -> None:
        """Make the parents; on version 2 also hand the controllers down to them."""
        for root in self._hierarchies.roots:
            for directory in (root / self._parent, root / self._parent / "monitors"):
                directory.mkdir(exist_ok=True)
                self._inherit_cpuset(directory)
        if self._hierarchies.mode == "v2" and self._hierarchies.unified:
            self._hand_down(self._hierarchies.unified)
            self._hand_down(self._hierarchies.unified / self._parent)

    def _inherit_cpuset(self, directory: Path) -> None:
        """A new version 1 cpuset is empty and lets no process in."""
        if directory.is_relative_to(self._hierarchies.v1.get("cpuset", Path("/nowhere"))):
            for name in ("cpuset.cpus", "cpuset.mems"):
                (directory / name).write_text((directory.parent / name).read_text())

    def _hand_down(self, directory: Path) -> None:
        offered = (directory / "cgroup.controllers").read_text().split()
        for name in WANTED_V2:
            if name in offered:
                (directory / "cgroup.subtree_control").write_text(f"+{name}")

    def path_of(self, replica_id: str) -> str:
        """The runtime-spec's `cgroupsPath`."""
        return f"/{self._parent}/{replica_id}"

    def box(self, replica_id: str, controller: str) -> Path:
        root = self._hierarchies.v1.get(controller) or self._hierarchies.unified or ROOT
        return root / self._parent / replica_id

    def limits_swap(self) -> bool:
        """Whether a swap limit can be set; without it a memory limit still holds where there is no swap."""
        is_v1 = "memory" in self._hierarchies.v1
        name = "memory.memsw.limit_in_bytes" if is_v1 else "memory.swap.max"
        return (self.box("monitors", "memory") / name).exists()

    def take_monitor(self, pid: int) -> None:
        """Out of the server's cgroups, with all that it starts from now on."""
        for root in self._hierarchies.roots:
            try:
                (root / self._parent / "monitors" / "cgroup.procs").write_text(str(pid))
            except ProcessLookupError:
                return

    def monitors(self) -> list[int]:
        """The process ids of what `take_monitor` took and of all that it started."""
        return [*{pid for root in self._hierarchies.roots for pid in _processes(root / self._parent / "monitors")}]

    def oom_kills(self, replica_id: str) -> int:
        """How many of its processes the kernel killed at the memory limit."""
        name = "memory.oom_control" if "memory" in self._hierarchies.v1 else "memory.events"
        return _numbers(self.box(replica_id, "memory") / name).get("oom_kill", 0)

    def usage(self, replica_id: str) -> Usage | None:
        """None when it is gone."""
        try:
            return self._usage(replica_id)
        except (OSError, KeyError):
            return None

    def _usage(self, replica_id: str) -> Usage:
        """Each from the version that has its controller: a host may have memory in one and CPU in the other."""
        memory, cpu = self.box(replica_id, "memory"), self.box(replica_id, "cpuacct")
        if "memory" in self._hierarchies.v1:
            used = int((memory / "memory.usage_in_bytes").read_text())
            cache = _numbers(memory / "memory.stat").get("total_inactive_file", 0)
        else:
            used = int((memory / "memory.current").read_text())
            cache = _numbers(memory / "memory.stat").get("inactive_file", 0)
        if "cpuacct" in self._hierarchies.v1:
            seconds = int((cpu / "cpuacct.usage").read_text()) / 1e9
        else:
            seconds = _numbers(cpu / "cpu.stat")["usage_usec"] / 1e6
        return Usage(cpu_seconds=seconds, memory_bytes=max(0, used - cache))

    def make_exec(self, replica_id: str, name: str) -> str:
        """A cgroup for one exec. Answers what `runc exec --cgroup` wants to hear."""
        (self.box(replica_id, "pids") / name).mkdir()
        return f"pids:{name}" if "pids" in self._hierarchies.v1 else name

    def kill_exec(self, replica_id: str, name: str) -> None:
        """Kill every process of the exec, however often they fork."""
        _kill_all(self.box(replica_id, "pids") / name)

    def remove_exec(self, replica_id: str, name: str) -> None:
        """What it left running in the background keeps its cgroup until the box goes."""
        try:
            (self.box(replica_id, "pids") / name).rmdir()
        except OSError:
            return

    def exec_names(self, replica_id: str) -> list[str]:
        directory = self.box(replica_id, "pids")
        return [entry.name for entry in directory.glob("exec-*")] if directory.exists() else []

    def remove(self, replica_id: str) -> None:
        """Kill what still runs in the box's cgroups and remove them. What is gone is left alone."""
        for root in self._hierarchies.roots:
            _remove_tree(root / self._parent / replica_id)

    def destroy(self) -> None:
        """Remove everything of the installation."""
        for root in self._hierarchies.roots:
            _remove_tree(root / self._parent)


def _numbers(path: Path) -> dict[str, int]:
    """A flat keyed file; empty when it is gone."""
    try:
        pairs = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _kill_all(directory: Path) -> None:
    """Until none is left: one may fork between reading and killing."""
    deadline = monotonic() + REMOVE_SECONDS
    while (pids := _processes(directory)) and monotonic() < deadline:
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        sleep(0.001)


def _processes(directory: Path) -> list[int]:
    try:
        return [int(line) for line in (directory / "cgroup.procs").read_text().split()]
    except OSError:
        return []


def _below(directory: Path) -> list[Path]:
    try:
        return [entry for entry in directory.iterdir() if entry.is_dir()]
    except FileNotFoundError:
        return []


def _remove_tree(directory: Path) -> None:
    """Innermost first. A cgroup is busy for a moment after its last process ended; that of an exec may go by itself."""
    for child in _below(directory):
        _remove_tree(child)
    _kill_all(directory)
    deadline = monotonic() + REMOVE_SECONDS
    while True:
        try:
            directory.rmdir()
            return
        except FileNotFoundError:
            return
        except OSError:
            if monotonic() > deadline:
                raise
            sleep(0.001)
