"""What an installation has on the host, seen from outside: by its folder and its id, without asking Roost.

`of_runtimes` must be empty once all are deleted, `of_all` once the installation is taken down. `sweep` removes what
a broken test or a broken Roost left, so that it never meets the next one.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from support.waiting import PATIENCE_SECONDS

CGROUPS = Path("/sys/fs/cgroup")


def of_boxes(root: Path) -> list[str]:
    """Monitors, cgroups, links, mounts, loop devices and folders of replicas."""
    id_ = _id(root)
    if id_ is None:
        return []
    found = [f"process {pid}: {words}" for pid, words in _processes(root) if words.split()[0].endswith("conmon")]
    found += [f"cgroup {path}" for path in _cgroups(id_) if path.name not in (f"roost-{id_}", "monitors")]
    found += [f"link {name}" for name in _links(id_)]
    found += [f"mount {path}" for path in _mounts(root) if path != str(_run(root, id_))]
    found += [f"loop device {device} of {file}" for device, file in _loops(root)]
    return found + [f"folder {path}" for place in _places(root, id_) for path in place.glob("*") if path.is_dir()]


def of_runtimes(root: Path) -> list[str]:
    """The same and the logs that they keep while stopped."""
    return of_boxes(root) + [f"folder {path}" for path in (root / "data" / "logs").glob("*") if path.is_dir()]


def of_all(root: Path) -> list[str]:
    """What replicas have, and the gateway, the server's helpers, the firewall, routes and the parents of cgroups."""
    id_ = _id(root)
    found = of_boxes(root) + [f"process {pid}: {words}" for pid, words in _processes(root)]
    if id_ is None:
        return found
    found += [f"cgroup {path}" for path in _cgroups(id_)]
    found += [f"mount {path}" for path in _mounts(root)]
    found += [f"route {line}" for line in _routes(root)]
    found += [f"firewall table {name}" for name in _tables(id_)]
    return found + [f"address {address} on lo" for address in _addresses(root)]


def sweep(root: Path) -> None:
    """Remove all that `of_all` sees. Nothing else is touched."""
    id_ = _id(root)
    for pid, _ in _processes(root):
        _kill(pid)
    for path in _cgroups(id_) if id_ else ():
        _empty(path)
    for path in _mounts(root)[::-1]:
        subprocess.run(["umount", "--lazy", path], capture_output=True)
    for device, _ in _loops(root):
        subprocess.run(["losetup", "--detach", device], capture_output=True)
    if id_:
        _sweep_network(root, id_)


def _sweep_network(root: Path, id_: str) -> None:
    for name in _links(id_):
        subprocess.run(["ip", "link", "delete", name], capture_output=True)
    for name in _tables(id_):
        subprocess.run(["nft", "delete", "table", "inet", name], capture_output=True)
    for line in _routes(root):
        subprocess.run(["ip", "route", "delete", *line.split()], capture_output=True)
    for address in _addresses(root):
        subprocess.run(["ip", "address", "delete", f"{address}/32", "dev", "lo"], capture_output=True)


def _facts(root: Path) -> dict[str, str]:
    try:
        facts: dict[str, str] = json.loads((root / "data" / "oci.json").read_text())
    except FileNotFoundError:
        return {}
    return facts


def _id(root: Path) -> str | None:
    return _facts(root).get("id")


def _places(root: Path, id_: str) -> list[Path]:
    run = _run(root, id_)
    return [root / "data" / "boxes", run / "boxes", run / "exits", run / "runc"]


def _run(root: Path, id_: str) -> Path:
    return root / "run" / f"oci-{id_}"


def _processes(root: Path) -> Iterator[tuple[int, str]]:
    """Those with the folder in their arguments: conmon, Envoy, runc."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
                if f"{root}/" in words:
                    yield int(entry.name), words[:200]


def _cgroups(id_: str) -> list[Path]:
    """Deepest first. Those that go while one looks are left out."""
    parents = [*CGROUPS.glob(f"roost-{id_}"), *CGROUPS.glob(f"*/roost-{id_}")]
    return sorted({Path(path) for parent in parents for path, _, _ in os.walk(parent.resolve())}, reverse=True)


def _empty(cgroup: Path) -> None:
    with contextlib.suppress(OSError):
        for pid in (cgroup / "cgroup.procs").read_text().split():
            _kill(int(pid))
    with contextlib.suppress(OSError):
        cgroup.rmdir()


def _kill(pid: int) -> None:
    """And wait until it is gone."""
    with contextlib.suppress(OSError):
        descriptor = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            ended = select.poll()
            ended.register(descriptor, select.POLLIN)
            ended.poll(PATIENCE_SECONDS * 1000)
        finally:
            os.close(descriptor)


def _links(id_: str) -> list[str]:
    return [path.name for path in Path("/sys/class/net").iterdir() if path.name.startswith(f"rst{id_}")]


def _mounts(root: Path) -> list[str]:
    targets = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [target for target in targets if target.startswith(f"{root}/")]


def _loops(root: Path) -> list[tuple[str, str]]:
    """One that is mounted nowhere any more is being let go of by the kernel, which takes a moment: waited for."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = _attached(root)
        mounted = {line.split()[0] for line in Path("/proc/self/mounts").read_text().splitlines()}
        if all(device in mounted for device, _ in found) or time.monotonic() > deadline:
            return found
        time.sleep(0.005)


def _attached(root: Path) -> list[tuple[str, str]]:
    """Loop devices and their files."""
    found = []
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            file = path.read_text().strip()
            if file.startswith(f"{root}/"):
                found.append((f"/dev/{path.parts[3]}", file))
    return found


def _tables(id_: str) -> list[str]:
    said = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True).stdout
    return [line.split()[-1] for line in said.splitlines() if line.split()[-1] == f"roost_{id_}"]


def _routes(root: Path) -> list[str]:
    """None when another installation has the range by now."""
    network = _facts(root).get("network")
    said = subprocess.run(["ip", "-4", "route", "show"], capture_output=True, text=True).stdout
    found = [line for line in said.splitlines() if network and network in line.split()]
    return found if _holder(root) in (None, f"lo:{_id(root)}") else []


def _addresses(root: Path) -> list[str]:
    return [str(_first_address(root))] if _holder(root) == f"lo:{_id(root)}" else []


def _holder(root: Path) -> str | None:
    """Under which name the first address of its range is on the loopback device."""
    said = subprocess.run(["ip", "-4", "-o", "address", "show", "dev", "lo"], capture_output=True, text=True).stdout
    words = next((line.split() for line in said.splitlines() if f" {_first_address(root)}/32 " in line), None)
    return words[words.index("global") + 1].rstrip("\\") if words else None


def _first_address(root: Path) -> IPv4Address | None:
    network = _facts(root).get("network")
    return IPv4Network(network)[1] if network else None
