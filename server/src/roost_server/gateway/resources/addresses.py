"""Source addresses, as an RBAC filter. What counts is the address of the connection: X-Forwarded-For is believed of
nobody."""

import ipaddress
from collections.abc import Iterable
from typing import Any

from envoy.config.core.v3 import address_pb2
from envoy.config.rbac.v3 import rbac_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as filter_pb2

from roost_server.gateway.resources import claims, extensions

FILTER = "roost.addresses"
ADDRESS = "address"


def http_filter() -> Any:
    return extensions.inline(FILTER, filter_pb2.RBAC())


def per_route(cidrs: Iterable[str]) -> Any:
    """What turns the filter on for a virtual host. Raises `ValueError` for a range that is none."""
    ranges = [rbac_pb2.Principal(direct_remote_ip=_range(cidr)) for cidr in cidrs]
    inside = rbac_pb2.Principal(or_ids=rbac_pb2.Principal.Set(ids=ranges))
    return claims.denying_unless({ADDRESS: inside})


def _range(cidr: str) -> Any:
    network = ipaddress.ip_network(cidr.partition("%")[0] if "%" in cidr else cidr, strict=False)
    return address_pb2.CidrRange(address_prefix=str(network.network_address), prefix_len={"value": network.prefixlen})
