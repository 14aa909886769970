"""Endpoint: a URL of a runtime, and the host names that lead to it."""

from dataclasses import dataclass
from datetime import datetime

DEFAULT = "DEFAULT"
AGENT_PORT = 8080
_LABEL_LIMIT = 63


@dataclass(frozen=True)
class Endpoint:
    """`pinned_version` None follows the latest. `live_version` is what serves now, None before the first is ready."""

    id: str
    runtime_id: str
    name: str
    pinned_version: int | None
    live_version: int | None
    revision: int
    created_at: datetime
    updated_at: datetime

    def target(self, latest: int) -> int:
        """The version this endpoint should serve."""
        return self.pinned_version or latest


def alias(runtime: str, workspace: str, organization: str) -> str | None:
    """The readable host label, or None when it would be longer than DNS allows."""
    label = f"{runtime}--{workspace}--{organization}"
    return label if len(label) <= _LABEL_LIMIT else None


def port_label(port: int, runtime_id: str) -> str:
    """The host label of an exposed port."""
    return f"{port}-{runtime_id}"
