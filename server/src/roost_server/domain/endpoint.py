"""Endpoint: a URL of a runtime, which versions serve it, and the host names that lead to it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from roost_server.domain import errors
from roost_server.domain.access import Access
from roost_server.domain.runtime import UUID, Wanted

DEFAULT = "DEFAULT"
AGENT_PORT = 8080
_LABEL_LIMIT = 63
NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")

Weights = Mapping[int, int]
"""Percent of the traffic by version; they add up to 100. Empty: nothing serves."""


class EndpointStatus(StrEnum):
    """How an endpoint stands. Computed from rows (`domain/standing.py`), never stored."""

    CREATING = "creating"  # nothing served yet; its first replicas are starting
    ACTIVE = "active"  # it serves what it should
    UPDATING = "updating"  # it serves, and is on its way to what it should serve
    STARTING = "starting"  # its replicas come back
    STOPPING = "stopping"
    STOPPED = "stopped"
    ERROR = "error"  # what it should serve could not start; what served before goes on
    DELETING = "deleting"


SETTLED = (EndpointStatus.ACTIVE, EndpointStatus.STOPPED, EndpointStatus.ERROR)
"""Nothing more comes by itself."""


@dataclass(frozen=True)
class Endpoint:
    """`pinned_version` None follows the latest applied version; `split` wins over both while it is set.

    `live` is what the gateway is told to serve now, `live_version` the one version that last served alone (None before
    the first is ready). `kept_version` was replaced and stays ready until `kept_until`, so that going back is quick;
    `kept_sessions`: sessions that began with it stay with it until then. `routed_at` is the `updated_at`
    that the gateway has confirmed.
    """

    id: str
    runtime_id: str
    name: str
    is_default: bool
    wanted: Wanted
    pinned_version: int | None
    split: Weights | None
    live_version: int | None
    live: Weights
    kept_version: int | None
    kept_until: datetime | None
    kept_sessions: bool
    access: Access
    revision: int
    created_at: datetime
    updated_at: datetime
    routed_at: datetime | None = None

    @property
    def is_routed(self) -> bool:
        """Whether the gateway has confirmed the endpoint as it is now."""
        return self.routed_at == self.updated_at

    def target(self, applied: int) -> int:
        """The version this endpoint should serve once no split is set."""
        return self.pinned_version or applied

    def shares(self, applied: int) -> Weights:
        """What it should serve. Empty when it is stopped."""
        if self.wanted != Wanted.RUNNING:
            return {}
        return self.split or {self.target(applied): 100}

    def versions(self, applied: int) -> set[int]:
        """Those that it serves or should serve."""
        return {*self.shares(applied), *self.live}


def check_name(name: str) -> str:
    """The name itself, if it may be one. Raises `Invalid` naming the field."""
    if not NAME.fullmatch(name) or UUID.fullmatch(name):
        message = (
            f'cannot use "{name[:100]}" as an endpoint\'s name: use 1-63 letters, digits and hyphens, beginning and '
            "ending with a letter or digit, and no UUID, which is for ids"
        )
        raise errors.Invalid(message, errors=[errors.FieldError(("name",), message)])
    return name


def check_weights(weights: Weights) -> Weights:
    """Percent by version, the zeros left out. Raises `Invalid` unless they add up to 100."""
    total = sum(weights.values())
    if total != 100 or min(weights.values()) < 0:
        message = f"cannot split the traffic: the weights must be 0-100 and add up to 100, not {total}"
        raise errors.Invalid(message, errors=[errors.FieldError(("split",), message)])
    return {version: weight for version, weight in sorted(weights.items()) if weight}


def url_of(label: str, domain: str, http_port: int) -> str:
    """The whole URL of a host label."""
    return f"http://{label}.{domain}" + ("" if http_port == 80 else f":{http_port}")


def alias(runtime: str, workspace: str, organization: str) -> str | None:
    """The readable host label, or None when it would be longer than DNS allows."""
    label = f"{runtime}--{workspace}--{organization}"
    return label if len(label) <= _LABEL_LIMIT else None


def port_label(port: int, runtime_id: str) -> str:
    """The host label of an exposed port."""
    return f"{port}-{runtime_id}"
