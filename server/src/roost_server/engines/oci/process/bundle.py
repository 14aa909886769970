"""The bundle: config.json of the OCI runtime specification 1.0.2, and the files it mounts.

https://github.com/opencontainers/runtime-spec/blob/v1.0.2/config.md
"""

import json
import os
import resource
from pathlib import Path
from typing import Any

from roost_server.domain.config import Resources
from roost_server.domain.replica import ReplicaSpec
from roost_server.engines.oci import rootfs
from roost_server.engines.oci.process import capabilities, hostfiles, process, seccomp

SHM_MB = 64
CPU_PERIOD_US = 100_000
NOFILE = 1_048_576
HOSTNAME_LENGTH = 63
TMPFS = ["nosuid", "noexec", "nodev"]
READ_ONLY = ["bind", "ro", "nosuid", "nodev"]

MASKED = [
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kallsyms",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/modules",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/dmi",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/kernel/debug",
    "/sys/kernel/security",
    "/sys/kernel/tracing",
]
READ_ONLY_PATHS = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
SYSCTL = {
    "net.ipv4.ping_group_range": "0 65535",
    "net.ipv6.conf.all.disable_ipv6": "1",
    "net.ipv6.conf.default.disable_ipv6": "1",
}
NAMESPACES = ("pid", "ipc", "uts", "mount", "user", "cgroup", "network")


def write(
    bundle: Path,
    spec: ReplicaSpec,
    wanted: process.Process,
    linux: dict[str, Any],
    mounts: list[dict[str, Any]],
) -> None:
    """Write config.json. `linux` is its section of that name, see `linux_section`.

    Its variables may be secrets, and others of the host pass through the bundle's directory: only root reads it."""
    config = {
        "ociVersion": "1.0.2",
        "hostname": spec.hostname[:HOSTNAME_LENGTH],
        "root": {"path": "rootfs"},
        "process": process_section(wanted),
        "mounts": mounts,
        "linux": linux,
    }
    write_for_root(bundle / "config.json", config)


def write_for_root(path: Path, document: dict[str, Any]) -> None:
    """As JSON, never readable by anybody else."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(json.dumps(document))


def read_process(bundle: Path) -> dict[str, Any]:
    """The process section a box was started with."""
    config: dict[str, Any] = json.loads((bundle / "config.json").read_text())
    section: dict[str, Any] = config["process"]
    return section


def process_section(wanted: process.Process) -> dict[str, Any]:
    return {
        "terminal": False,
        "args": wanted.arguments,
        "env": [f"{name}={value}" for name, value in wanted.env.items()],
        "cwd": wanted.workdir,
        "noNewPrivileges": True,
        "rlimits": [_nofile(), {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}],
        **user_section(wanted.user.uid, wanted.user.gid, wanted.user.groups),
    }


def user_section(uid: int, gid: int, groups: list[int]) -> dict[str, Any]:
    """The user and, since they depend on it, the capabilities."""
    user = {"uid": uid, "gid": gid, "additionalGids": groups, "umask": 0o022}
    return {"user": user, "capabilities": capabilities.of_user(uid)}


def _nofile() -> dict[str, Any]:
    """As high as this host allows: a server without CAP_SYS_RESOURCE cannot raise its own limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = NOFILE if hard == resource.RLIM_INFINITY else min(NOFILE, hard)
    return {"type": "RLIMIT_NOFILE", "soft": limit, "hard": limit}


def linux_section(cgroups_path: str, id_map_start: int, limits: dict[str, Any]) -> dict[str, Any]:
    id_map = [{"containerID": 0, "hostID": id_map_start, "size": 65536}]
    section: dict[str, Any] = {
        "uidMappings": id_map,
        "gidMappings": id_map,
        "namespaces": [{"type": name} for name in NAMESPACES],
        "sysctl": _sysctl(),
        "maskedPaths": MASKED,
        "readonlyPaths": READ_ONLY_PATHS,
        "cgroupsPath": cgroups_path,
        "resources": limits,
    }
    if (profile := seccomp.profile()) is not None:
        section["seccomp"] = profile
    return section


def _sysctl() -> dict[str, str]:
    has_ipv6 = Path("/proc/sys/net/ipv6").exists()
    return {name: value for name, value in SYSCTL.items() if has_ipv6 or ".ipv6." not in name}


def limits(resources: Resources, limits_swap: bool) -> dict[str, Any]:
    """No swap: what does not fit into memory is killed, as it would be on a machine of that size."""
    memory_bytes = resources.memory * 1024 * 1024
    memory = {"limit": memory_bytes} | ({"swap": memory_bytes} if limits_swap else {})
    return {
        "devices": [{"allow": False, "access": "rwm"}],
        "memory": memory,
        "cpu": {
            "quota": int(resources.cores * CPU_PERIOD_US),
            "period": CPU_PERIOD_US,
            "shares": max(2, int(resources.cores * 1024)),
        },
        "pids": {"limit": resources.max_processes},
    }


def mounts(bundle: Path, init: Path | None, certificates: list[str]) -> list[dict[str, Any]]:
    """`certificates` are the places where the bundle's certificate file is to be seen."""
    files = [("/etc/hostname", bundle / "hostname"), ("/etc/hosts", bundle / "hosts")]
    files += [("/etc/resolv.conf", bundle / "resolv.conf")]
    files += [(place, bundle / "ca-certificates.crt") for place in certificates]
    files += [(process.INIT_INSIDE, init)] if init else []
    return [*_file_systems(), *(_bound(place, source) for place, source in files)]


def _file_systems() -> list[dict[str, Any]]:
    return [
        _mounted("/proc", "proc", TMPFS),
        _mounted("/dev", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=1024k"]),
        _mounted("/dev/pts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
        _mounted("/dev/shm", "tmpfs", [*TMPFS, "mode=1777", f"size={SHM_MB}m"]),
        _mounted("/dev/mqueue", "mqueue", TMPFS),
        _mounted("/sys", "sysfs", [*TMPFS, "ro"]),
        _mounted("/sys/fs/cgroup", "cgroup", [*TMPFS, "relatime", "ro"]),
    ]


def _mounted(place: str, kind: str, options: list[str]) -> dict[str, Any]:
    return {"destination": place, "type": kind, "source": kind, "options": options}


def _bound(place: str, source: Path) -> dict[str, Any]:
    options = READ_ONLY if place == process.INIT_INSIDE else ["bind", "rw", "nosuid", "nodev", "noexec"]
    return {"destination": place, "type": "bind", "source": str(source), "options": options}


def certificate_places(image_root: Path) -> list[str]:
    """Where programs that read no environment variable look, if the image has that file."""
    own = rootfs.resolve(image_root, hostfiles.CERTIFICATES)
    return [hostfiles.CERTIFICATES_INSIDE, *([hostfiles.CERTIFICATES] if own else [])]
