"""`builtin:runtime` for tests, made once per machine (half a minute) and handed out as hard links (a moment).

The cache lies in $ROOST_TEST_CACHE, else in ~/.cache/roost-tests; removing it is always safe.
"""

import asyncio
import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from roost_server.engines.oci.images.oci_images import ImageSettings, OciImages


def give(data_dir: Path) -> None:
    """Have `builtin:runtime` in a fresh data directory, so that `make_builtin` finds it there."""
    (data_dir / "images").mkdir(parents=True, exist_ok=True)
    with _cache() as images:
        for kept in ("blobs", "unpacked", "builtin.json"):
            _clone(images / kept, data_dir / "images" / kept)


@contextmanager
def _cache() -> Iterator[Path]:
    """Nobody else changes it meanwhile."""
    cache = Path(os.environ.get("ROOST_TEST_CACHE") or Path.home() / ".cache" / "roost-tests")
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        asyncio.run(OciImages(ImageSettings(cache)).make_builtin(lambda _: None))
        yield cache / "images"


def _clone(source: Path, target: Path) -> None:
    linked = subprocess.run(["cp", "--archive", "--link", source, target], capture_output=True)
    if linked.returncode != 0:
        subprocess.run(["rm", "-rf", target], check=True)
        subprocess.run(["cp", "--archive", "--reflink=auto", source, target], check=True)
