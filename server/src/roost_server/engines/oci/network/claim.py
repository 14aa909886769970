"""Claiming: no two installations of a machine have the same address range.

An installation has the range whose first address lies on the loopback device under its name (`ip addr show lo` tells
`lo:1a2b3c`), from its start until `down` or a restart of the machine. One claims at a time.
"""

import contextlib
import fcntl
import socket
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute, NetlinkError

from roost_server.domain import errors
from roost_server.engines.oci.network import addresses, devices
from roost_server.engines.oci.network.devices import LOOPBACK, attributes

LOCK = Path("/run/roost-network.lock")
NAMELESS = "lo"
"""Releases before this one gave their address no name but the device's."""


def claim(installation: str, links: str, *, asked: IPv4Network | None, kept: IPv4Network | None) -> IPv4Network:
    """The range that the operator asked for, else the one kept while it is in use, else a free one; claimed.

    `links` begins the names of the installation's interfaces. Raises `Unavailable` when none is free, or the one asked
    for is another installation's."""
    name = _name(installation)
    with _turn() as route:
        holders = _holders(route)
        boxes_live = any(devices.beginning_with(route, links))  # whatever somebody took from the loopback device
        in_use = kept and (holders.get(_first(kept)) in (name, NAMELESS) or boxes_live)
        network = asked or (kept if kept and in_use else addresses.choose(_ranges(route), installation))
        holder = holders.get(_first(network))
        if holder not in (None, name, NAMELESS):
            raise errors.Unavailable(
                f"cannot use {network} for replicas: another Roost of this machine ({holder}) does; "
                "set ROOST_NETWORK_CIDR to another range",
                reason="engine_unavailable",
            )
        if holder is None:
            route.addr("add", index=LOOPBACK, address=_first(network), prefixlen=32, label=name)
    return network


def release(installation: str, network: IPv4Network, nobody: Mapping[str, Any]) -> None:
    """Give the range up, with `nobody`, the route to the addresses that no box has. Releasing it again leaves alone
    what has become another installation's since."""
    with _turn() as route:
        if _holders(route).get(_first(network)) not in (None, _name(installation), NAMELESS):
            return
        with contextlib.suppress(NetlinkError):
            route.route("delete", **nobody)
        with contextlib.suppress(NetlinkError):
            route.addr("delete", index=LOOPBACK, address=_first(network), prefixlen=32)


@contextlib.contextmanager
def _turn() -> Iterator[IPRoute]:
    with LOCK.open("a") as lock, IPRoute() as route:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield route


def _name(installation: str) -> str:
    return f"{NAMELESS}:{installation}"


def _first(network: IPv4Network) -> str:
    return str(addresses.gateway(network))


def _holders(route: IPRoute) -> dict[str, str]:
    """The name of every address of the loopback device."""
    found = (attributes(entry) for entry in route.get_addr(family=socket.AF_INET, index=LOOPBACK))
    return {each["IFA_ADDRESS"]: each.get("IFA_LABEL", NAMELESS) for each in found}


def _ranges(route: IPRoute) -> Iterable[IPv4Network]:
    """Every range this machine has a route to, the default route aside."""
    for entry in route.get_routes(family=socket.AF_INET):
        target = attributes(entry).get("RTA_DST")
        if target and entry["dst_len"]:
            yield IPv4Network(f"{target}/{entry['dst_len']}", strict=False)
