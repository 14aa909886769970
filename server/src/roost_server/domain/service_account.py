"""Service account: what a runtime's replicas prove with who they are. One a runtime, made with it."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class ServiceAccount:
    """`secret_id` changes with the secret, so that what was given for an earlier one is told apart. The secret itself
    is not here."""

    runtime_id: str
    client_id: str
    secret_hash: str
    secret_id: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class Identity:
    """Whose service account a caller is: that of the runtime with this id and name."""

    runtime_id: str
    name: str

    def is_called(self, id_or_name: str) -> bool:
        """Whether a path that names a runtime so means this one."""
        return id_or_name.lower() == self.runtime_id or id_or_name == self.name


def client_id_of(runtime_id: str) -> str:
    return f"sa-{runtime_id}"
