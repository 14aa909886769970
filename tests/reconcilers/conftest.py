"""The control plane that the stories play on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support import platform
from support.platform import Rig


@pytest.fixture
async def rig(tmp_path: Path, database_url: str) -> AsyncIterator[Rig]:
    """Its loops run."""
    async with platform.opened(tmp_path, database_url) as prepared:
        prepared.start()
        yield prepared
