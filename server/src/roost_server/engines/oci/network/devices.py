"""The host's network devices, as pyroute2 tells of them."""

from collections.abc import Iterator
from typing import Any

from pyroute2 import IPRoute

LOOPBACK = 1
"""The index of the loopback device."""


def attributes(message: Any) -> dict[str, Any]:
    return dict(message["attrs"])


def beginning_with(route: IPRoute, prefix: str) -> Iterator[int]:
    """The indexes of the devices whose names begin so."""
    for link in route.get_links():
        if attributes(link).get("IFLA_IFNAME", "").startswith(prefix):
            yield link["index"]
