"""Addresses: which range an installation uses and which address each box has."""

import random
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network
from itertools import chain

from roost_server.domain import errors

LARGEST_PREFIX, SMALLEST_PREFIX = 16, 28
CANDIDATES = [IPv4Network(f"10.{second}.0.0/16") for second in range(200, 255)] + [
    IPv4Network(f"172.{second}.0.0/16") for second in range(18, 32)
]


def parse(cidr: str) -> IPv4Network:
    """A range an operator asked for. Raises `Invalid` when replicas cannot live in it."""
    try:
        network = IPv4Network(cidr)
    except ValueError as error:
        raise errors.Invalid(f'cannot use "{cidr}" as network_cidr: {error}') from error
    if not LARGEST_PREFIX <= network.prefixlen <= SMALLEST_PREFIX:
        raise errors.Invalid(
            f'cannot use "{cidr}" as network_cidr: its prefix must be /{LARGEST_PREFIX} to /{SMALLEST_PREFIX}'
        )
    return network


def choose(taken: Iterable[IPv4Network], seed: str) -> IPv4Network:
    """A free range. Seeded by the installation, so that it is the same each time, if that is free."""
    used = list(taken)
    candidates = random.Random(seed).sample(CANDIDATES, len(CANDIDATES))
    for candidate in candidates:
        if not any(candidate.overlaps(network) for network in used):
            return candidate
    raise errors.Unavailable(
        "cannot find a free address range for replicas: every candidate overlaps a route of this machine; "
        "set ROOST_NETWORK_CIDR to a range that is free",
        reason="engine_unavailable",
    )


def gateway(network: IPv4Network) -> IPv4Address:
    """The host's own address in the range."""
    return network[1]


class Addresses:
    """Which addresses of the range are taken. Goes round, so that one just released is not used at once."""

    def __init__(self, network: IPv4Network) -> None:
        self._network = network
        self._taken: set[IPv4Address] = set()
        self._next = 2

    def adopt(self, address: IPv4Address) -> None:
        """An address that a living box has."""
        self._taken.add(address)
        if address in self._network:
            self._next = max(self._next, self.offset(address) + 1)

    def take(self) -> IPv4Address:
        """A free address. Raises `Unavailable` when the range is full."""
        last = self._network.num_addresses - 2
        for offset in chain(range(self._next, last + 1), range(2, self._next)):
            address = self._network[offset]
            if address not in self._taken:
                self._taken.add(address)
                self._next = offset + 1
                return address
        raise errors.Unavailable(
            f"cannot give a replica an address: all of {self._network} are taken; delete runtimes or widen the range",
            reason="no_capacity",
        )

    def release(self, address: IPv4Address) -> None:
        self._taken.discard(address)

    def offset(self, address: IPv4Address) -> int:
        """Its number within the range, at most 65535: what the box's interface is named by."""
        return int(address) - int(self._network.network_address)
