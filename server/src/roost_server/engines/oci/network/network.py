"""The network of boxes: a point-to-point link each, so that no two of them share a segment.

runc makes a box's network namespace, owned by the box's user namespace; this file joins it to the host while the box's
first process still waits to be started. The host's end carries a route to the one address behind it. The host's own
address in the range lies on the loopback device.
"""

import contextlib
import socket
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute, NetlinkError

from roost_server.engines.oci.installation import Installation
from roost_server.engines.oci.linux import calls, netlink
from roost_server.engines.oci.network import claim, devices
from roost_server.engines.oci.network.devices import attributes

LAST_RESORT = 4_000_000_000
"""A route's metric: larger is worse."""
INSIDE = "eth0"
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


class Network:
    def __init__(self, installation: Installation) -> None:
        self._installation = installation.id
        self._prefix = installation.veth_prefix
        self._network = installation.network
        self._gateway = installation.host_address
        self._mtu = 1500

    def prepare(self) -> None:
        """Forwarding, and the packet size of the way out. The host's address in the range is there: `claim.py`.

        What no box has in the range is unreachable: else packets for a box that is gone would leave this machine by
        its default route, and some stranger could answer.
        """
        with IPRoute() as route:
            route.route("replace", **self._nobody())
            self._mtu = _mtu_of_default_route(route)
        if FORWARDING.read_text().strip() != "1":
            FORWARDING.write_text("1")

    def attach(self, pid: int, address: IPv4Address) -> None:
        """Join the network namespace of `pid` to the host. Call once for a namespace."""
        name = self.interface(address)
        with netlink.open_socket() as outside:
            try:
                netlink.send(outside, [netlink.veth(name, INSIDE, pid, self._mtu)])
            except FileExistsError:
                self.detach(address)
                netlink.send(outside, [netlink.veth(name, INSIDE, pid, self._mtu)])
            _without_ipv6(name)
            index = socket.if_nametoindex(name)
            netlink.send(outside, [netlink.host_route(index, address, self._gateway)])
        with calls.network_namespace(pid):
            inside = netlink.open_socket()
            index = socket.if_nametoindex(INSIDE)
        with inside:
            wanted = [netlink.address(index, address), netlink.up(index), netlink.default_route(index, self._gateway)]
            netlink.send(inside, wanted)

    def interface(self, address: IPv4Address) -> str:
        """The host's end: at most 15 characters, as the kernel demands."""
        return f"{self._prefix}{int(address) - int(self._network.network_address):04x}"

    def detach(self, address: IPv4Address) -> None:
        """Remove the link of a box that is gone. By itself it goes some time after the last process of its namespace.
        Removing what is gone succeeds."""
        with netlink.open_socket() as outside, contextlib.suppress(OSError):
            netlink.send(outside, [netlink.without(self.interface(address))])

    def destroy(self) -> None:
        with IPRoute() as route:
            _remove_links(route, self._prefix)
        claim.release(self._installation, self._network, self._nobody())

    def _nobody(self) -> dict[str, Any]:
        """The route of addresses that no box has; any other route to them wins."""
        return {"dst": str(self._network), "type": "unreachable", "priority": LAST_RESORT}


def _without_ipv6(interface: str) -> None:
    """No link-local address on the host's end; boxes speak IPv4 only."""
    switch = Path(f"/proc/sys/net/ipv6/conf/{interface}/disable_ipv6")
    if switch.exists():
        switch.write_text("1")


def _remove_links(route: IPRoute, prefix: str) -> None:
    for index in devices.beginning_with(route, prefix):
        with contextlib.suppress(NetlinkError):
            route.link("delete", index=index)


def _mtu_of_default_route(route: IPRoute) -> int:
    for entry in route.get_default_routes(family=socket.AF_INET):
        index = attributes(entry).get("RTA_OIF")
        if index:
            return int(attributes(route.get_links(index)[0]).get("IFLA_MTU", 1500))
    return 1500
