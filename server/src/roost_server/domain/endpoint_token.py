"""Endpoint token: lets its holder call one endpoint whose access mode is `token`. A row; its text is shown once."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class EndpointToken:
    """`expires_at` None: until it is deleted."""

    id: str
    endpoint_id: str
    name: str
    expires_at: datetime | None
    created_at: datetime
