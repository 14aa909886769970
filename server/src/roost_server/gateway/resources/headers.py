"""Headers that mean something to the gateway, and those that it adds to every request."""

import itertools
from typing import Any

from envoy.config.core.v3 import base_pb2

SESSION = ("x-roost-session-id", "x-greennode-agentbase-session-id")
USER = ("x-roost-user-id", "x-greennode-agentbase-user-id")
"""Each pair means the same; of two that differ the first counts for the gateway."""


def _spellings(name: str) -> list[str]:
    """The other names with underscores in place of hyphens, which CGI and WSGI do not tell from this one."""
    words = name.split("-")
    signs = itertools.product("-_", repeat=len(words) - 1)
    spelt = ["".join(itertools.chain(*zip(words, (*between, ""), strict=True))) for between in signs]
    return spelt[1:]


USER_ALIKE = tuple(spelt for name in USER for spelt in _spellings(name))
"""What some agents would read as the user where the gateway has verified another."""

VERSION = "x-roost-version"
"""Which version a session belongs to, between the gateway's own filters. Neither believed of a client nor passed on."""

REMOVED = ("x-envoy-external-address", VERSION)


def added() -> list[Any]:
    """What every request gets on its way to an agent: the client's address, and the other name of session and user."""
    pairs = (SESSION, SESSION[::-1], USER, USER[::-1])
    return [_client_address(), *(_as_well(name, other) for name, other in pairs)]


def _as_well(name: str, other: str) -> Any:
    """`other` with the value of `name`. Without a value nothing is added."""
    return base_pb2.HeaderValueOption(
        header=base_pb2.HeaderValue(key=other, value=f"%REQ({name})%"),
        append_action=base_pb2.HeaderValueOption.ADD_IF_ABSENT,
    )


def _client_address() -> Any:
    return base_pb2.HeaderValueOption(
        header=base_pb2.HeaderValue(key="x-forwarded-for", value="%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"),
        append_action=base_pb2.HeaderValueOption.APPEND_IF_EXISTS_OR_ADD,
    )
