"""Version: an immutable, numbered snapshot of a runtime's configuration."""

from dataclasses import dataclass, replace
from datetime import datetime

from roost_server.domain.config import Resources, RuntimeConfig


@dataclass(frozen=True)
class Version:
    """`config` holds no password; `image_id` is the image row, whose digest never moves. `cpu_cores` and `memory_mb`
    are what its flavor meant when the version was made, so that changing a flavor changes no version."""

    runtime_id: str
    number: int
    config: RuntimeConfig
    image_id: str
    created_at: datetime
    cpu_cores: float | None = None
    memory_mb: int | None = None

    @property
    def resources(self) -> Resources:
        """The size of one replica in numbers."""
        asked = self.config.resources
        if asked.flavor is None:
            return asked
        return replace(asked, flavor=None, cpu_cores=self.cpu_cores, memory_mb=self.memory_mb)
