"""Version: an immutable, numbered snapshot of a runtime's configuration."""

from dataclasses import dataclass
from datetime import datetime

from roost_server.domain.config import RuntimeConfig


@dataclass(frozen=True)
class Version:
    """`config` holds no password; `image_id` is the image row, whose digest never moves."""

    runtime_id: str
    number: int
    config: RuntimeConfig
    image_id: str
    created_at: datetime
