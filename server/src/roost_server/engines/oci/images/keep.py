"""What may be removed: images that nobody names and no box uses, and blobs that no image needs.

Work under way is safe: it pins the blobs it knows it needs, and nothing younger than the oldest of it is removed.
"""

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from roost_server.engines.oci.images import store as images_store
from roost_server.engines.oci.images.store import Store

MOUNTS = Path("/proc/self/mountinfo")


@dataclass(eq=False)
class Work:
    """A pull, load, build or push."""

    pins: set[str] = field(default_factory=set)
    since: float = field(default_factory=time.time)


class Keeper:
    """`still` is held while blobs are looked for and moved, so that none vanishes in between."""

    def __init__(self, store: Store, boxes: Path, recent_seconds: float) -> None:
        self.still = asyncio.Lock()
        self._store, self._boxes, self._recent_seconds = store, boxes, recent_seconds
        self._under_way: set[Work] = set()
        self._handed_out: dict[str, float] = {}

    @contextmanager
    def working(self, *digests: str) -> Iterator[Work]:
        """The blobs of `digests`, and all that appear meanwhile, are safe."""
        work = Work(set(digests))
        self._under_way.add(work)
        try:
            yield work
        finally:
            self._under_way.discard(work)

    def handed_out(self, digest: str) -> None:
        """A caller was just told of the image and may not have written that down yet."""
        self._handed_out[digest] = time.monotonic()

    async def keep_only(self, digests: Sequence[str]) -> int:
        """Remove what nobody needs; how many bytes that freed."""
        async with self.still:
            used = await asyncio.to_thread(self._used)
            doomed = self._take_away({*digests, *used, *self._recent()})
            freed = await asyncio.to_thread(_discard_all, doomed)
            pins = {digest for work in self._under_way for digest in work.pins}
            before = min((work.since for work in self._under_way), default=time.time())
            return freed + await asyncio.to_thread(self._sweep, pins, before)

    def _take_away(self, kept: set[str]) -> list[Path]:
        pinned = {digest for work in self._under_way for digest in work.pins}
        gone = [record.digest for record in self._store.records() if record.digest not in kept | pinned]
        return [folder for digest in gone if (folder := self._store.remove(digest))]

    def _recent(self) -> list[str]:
        now = time.monotonic()
        self._handed_out = {digest: at for digest, at in self._handed_out.items() if now - at < self._recent_seconds}
        return list(self._handed_out)

    def _used(self) -> set[str]:
        """Digests that boxes name in their state, and those whose files are mounted now."""
        named = {digest for path in self._boxes.glob("*/*.json") if (digest := _image_of(path))}
        mounts = MOUNTS.read_text()
        mounted = {
            record.digest for record in self._store.records() if str(self._store.rootfs(record.digest)) in mounts
        }
        return named | mounted

    def _sweep(self, pins: set[str], before: float) -> int:
        needed = pins | {digest for record in self._store.records() for digest in record.blobs}
        freed = 0
        for blob in self._store.blobs.iterdir():
            with suppress(FileNotFoundError):  # a corrupt one is removed as soon as that is seen
                seen = blob.stat()
                if f"sha256:{blob.name}" not in needed and seen.st_mtime < before:
                    blob.unlink()
                    freed += seen.st_size
        return freed


def _discard_all(folders: list[Path]) -> int:
    return sum(images_store.discard_counting(folder) for folder in folders)


def _image_of(path: Path) -> str | None:
    with suppress(OSError, ValueError, AttributeError):
        digest = json.loads(path.read_text()).get("image_digest")
        return digest if isinstance(digest, str) else None
    return None
