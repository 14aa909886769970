"""doctor: whether this host can run boxes, and what to do where it cannot. Changes nothing."""

import os
import platform
import re
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from roost_server.engines.oci import cgroups, installation
from roost_server.engines.oci.network import firewall
from roost_server.engines.oci.process import hostfiles
from roost_server.engines.oci.settings import OciSettings

KERNEL = (5, 10)
FREE_GIB = 5
NOFILE = 4096


@dataclass(frozen=True)
class Finding:
    """`message` says what was seen, `fix` what to do about it (empty when `ok`)."""

    name: str
    ok: bool
    message: str
    fix: str = ""


TOOLS = {
    "runc": ["--version"],
    "conmon": ["--version"],
    "nft": ["--version"],
    "mkfs.ext4": ["-V"],
    "skopeo": ["--version"],
    "umoci": ["--version"],
    "buildah": ["--version"],
    "mmdebstrap": ["--version"],
}
PACKAGES = {"nft": "nftables", "mkfs.ext4": "e2fsprogs"}


def check(settings: OciSettings) -> list[Finding]:
    """Every finding, in the order in which one would fix them."""
    checks: list[Callable[[OciSettings], Finding]] = [
        _root,
        _kernel,
        _init,
        _cgroups,
        _overlay,
        _user_namespaces,
        _loop_devices,
        _nftables,
        _forwarding,
        _other_firewalls,
        _resolvers,
        _passable,
        _disk_space,
        _open_files,
    ]
    return [*_tools(settings), *(look(settings) for look in checks)]


def _finding(name: str, ok: bool, message: str, fix: str) -> Finding:
    return Finding(name, ok, message, "" if ok else fix)


def _tools(settings: OciSettings) -> Iterator[Finding]:
    for tool, arguments in TOOLS.items():
        name = settings.runtime if tool == "runc" else tool
        found = shutil.which(name)
        message = _version(found, arguments) if found else f"{name} is not installed"
        yield _finding(name, found is not None, message, f"apt-get install {PACKAGES.get(name, name)}")


def _version(path: str, arguments: list[str]) -> str:
    said = subprocess.run([path, *arguments], capture_output=True, text=True)
    lines = (said.stdout or said.stderr).splitlines()
    return lines[0].strip() if lines else path


def _init(settings: OciSettings) -> Finding:
    there = os.access(settings.init, os.X_OK)
    said = f"{settings.init} is {'there' if there else 'missing'}"
    return _finding("init", there, said, "apt-get install catatonit")


def _root(_: OciSettings) -> Finding:
    uid = os.geteuid()
    return _finding("root", uid == 0, f"running as user {uid}", "start roost-server as root")


def _kernel(_: OciSettings) -> Finding:
    release = platform.release()
    version = tuple(int(part) for part in re.findall(r"\d+", release)[:2])
    wanted = ".".join(map(str, KERNEL))
    return _finding("kernel", version >= KERNEL, f"Linux {release}", f"use Linux {wanted} or later")


def _cgroups(_: OciSettings) -> Finding:
    found = cgroups.detect()
    missing = sorted(set(cgroups.NEEDED) - found.controllers())
    message = f"{found.mode}; " + (f"missing {', '.join(missing)}" if missing else "cpu, memory and pids are there")
    fix = "boot with cgroup_enable=memory, or mount cgroup2 at /sys/fs/cgroup"
    return _finding("cgroups", not missing, message, fix)


def _overlay(_: OciSettings) -> Finding:
    there = _file_system("overlay")
    return _finding("overlayfs", there, "available" if there else "not in this kernel", "modprobe overlay")


def _file_system(name: str) -> bool:
    """Built in or loaded already, or a module that could be loaded."""
    if re.search(rf"\b{name}$", Path("/proc/filesystems").read_text(), re.MULTILINE):
        return True
    return _succeeds("modprobe", "--dry-run", name)


def _succeeds(*command: str) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True).returncode == 0


def _user_namespaces(_: OciSettings) -> Finding:
    limit = Path("/proc/sys/user/max_user_namespaces")
    count = int(limit.read_text()) if limit.exists() else 0
    fix = "sysctl -w user.max_user_namespaces=15000"
    return _finding("user namespaces", count > 0, f"at most {count}", fix)


def _loop_devices(_: OciSettings) -> Finding:
    there = Path("/dev/loop-control").exists() and _file_system("ext4")
    message = "loop devices and ext4 are there" if there else "loop devices or ext4 are missing"
    return _finding("disk limits", there, message, "modprobe loop; modprobe ext4")


def _nftables(_: OciSettings) -> Finding:
    works = _succeeds("nft", "list", "tables")
    fix = "apt-get install nftables; modprobe nf_tables"
    return _finding("nftables", works, "usable" if works else "nft cannot list tables", fix)


def _forwarding(_: OciSettings) -> Finding:
    path = Path("/proc/sys/net/ipv4/ip_forward")
    enabled = path.exists() and path.read_text().strip() == "1"
    possible = enabled or os.access(path, os.W_OK)
    message = "on" if enabled else "off; the server turns it on" if possible else "off and cannot be turned on"
    return _finding("IP forwarding", possible, message, "sysctl -w net.ipv4.ip_forward=1")


def _other_firewalls(settings: OciSettings) -> Finding:
    """Only a server that runs has rules to look for."""
    place = installation.existing(settings)
    shut = place is not None and place.run.exists() and not firewall.is_in_place(place)
    message = "rules are missing or another firewall drops forwarding" if shut else "nothing stands in the way"
    return _finding("firewall", not shut, message, "restart roost-server, or allow forwarding of interfaces rst*")


def _resolvers(_: OciSettings) -> Finding:
    found = hostfiles.resolv_conf().count("nameserver ")
    fix = "name a resolver in /etc/resolv.conf that is neither on this host nor IPv6"
    return _finding("name resolution", found > 0, f"replicas can reach {found} of the host's resolvers", fix)


def _passable(settings: OciSettings) -> Finding:
    for directory in (settings.run_dir, *settings.run_dir.parents):
        if directory.exists() and not directory.stat().st_mode & 0o001:
            fix = f"chmod o+x {directory}, or set ROOST_RUN_DIR"
            return _finding("run directory", False, f"replicas cannot pass {directory}", fix)
    return _finding("run directory", True, str(settings.run_dir), "")


def _disk_space(settings: OciSettings) -> Finding:
    directory = settings.data_dir
    while not directory.exists():
        directory = directory.parent
    free = shutil.disk_usage(directory).free / 2**30
    fix = f"free space below {settings.data_dir}, or set ROOST_DATA_DIR"
    return _finding("disk space", free >= FREE_GIB, f"{free:.0f} GiB free below {directory}", fix)


def _open_files(_: OciSettings) -> Finding:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    ok = hard == resource.RLIM_INFINITY or hard >= NOFILE
    return _finding("open files", ok, f"at most {hard}", f"raise the hard limit to {NOFILE} (ulimit -Hn)")
