"""Flavor: a named size of a replica, CPU by memory, such as `1x2-general`: 1 core and 2 GiB."""

import re
from dataclasses import dataclass
from datetime import datetime

from roost_server.domain import errors
from roost_server.domain.config import Resources
from roost_server.domain.runtime import UUID

NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")

STANDARD = {
    "1x1-general": (1.0, 1024),
    "1x2-general": (1.0, 2048),
    "2x4-general": (2.0, 4096),
    "2x8-general": (2.0, 8192),
    "4x8-general": (4.0, 8192),
    "4x16-general": (4.0, 16384),
}
"""What a fresh installation offers: cores and MiB by name."""


@dataclass(frozen=True)
class Flavor:
    """`memory_mb` in MiB. Changing a flavor changes no version that was made of it."""

    id: str
    name: str
    description: str
    cpu_cores: float
    memory_mb: int
    revision: int
    created_at: datetime
    updated_at: datetime

    @property
    def size(self) -> Resources:
        """Of one replica of it, in numbers."""
        return Resources(cpu_cores=self.cpu_cores, memory_mb=self.memory_mb)


def check_name(name: str) -> str:
    """The name itself, if it may be one. Raises `Invalid` naming the field."""
    if not NAME.fullmatch(name) or UUID.fullmatch(name):
        message = (
            f'cannot use "{name[:100]}" as a flavor\'s name: use 1-63 lower-case letters, digits, dots and hyphens, '
            "such as 2x4-general, and no UUID"
        )
        raise errors.Invalid(message, errors=[errors.FieldError(("name",), message)])
    return name
