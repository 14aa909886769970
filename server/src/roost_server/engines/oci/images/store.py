"""What lies on disk under <data_dir>/images, and what of it may be trusted.

    blobs/sha256/<hex>          manifests, configurations and layers, shared between images
    unpacked/<hex>/image.json   what is known of an image that can run
    unpacked/<hex>/rootfs/      its files, owned by the mapped users; files are hard links where images share layers
    build/                      what builds keep between each other
    tmp/                        work under way; nothing in it is ever trusted

Everything is made in tmp, flushed, and renamed into place, so a crash at any point leaves whole things or none.
"""

import asyncio
import ctypes
import hashlib
import json
import os
import shutil
import threading
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from roost_server.domain.image import ImageConfig, ImageInfo
from roost_server.engines.oci.images import manifest as images_manifest
from roost_server.engines.oci.images.manifest import Descriptor, Manifest

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Record:
    """An unpacked image. `digest` is the manifest's where it came from; `manifest` is the one kept here, which
    differs when a registry's manifest had to be converted."""

    digest: str
    manifest: str
    architecture: str
    size_bytes: int
    id_map_start: int
    layers: list[Descriptor]
    diff_ids: list[str]
    blobs: list[str]
    config: ImageConfig

    @property
    def info(self) -> ImageInfo:
        """What the rest of Roost knows of it."""
        return ImageInfo(self.digest, self.architecture, self.size_bytes, self.config)


class Store:
    """The folder. All methods but `adopt`, `publish` and `clean` are quick."""

    def __init__(self, data_dir: Path, id_map_start: int) -> None:
        self.root = data_dir / "images"
        self.blobs = self.root / "blobs" / "sha256"
        self.build = self.root / "build"
        self._unpacked = self.root / "unpacked"
        self._tmp = self.root / "tmp"
        self._id_map_start = id_map_start
        self._records: dict[str, Record] = {}
        self._held: Counter[str] = Counter()
        self._opened, self._opening = False, threading.Lock()

    def open(self) -> None:
        """Make the folders, forget what a crash left half-made. Done once, before anything else."""
        with self._opening:
            if self._opened:
                return
            shutil.rmtree(self._tmp, ignore_errors=True)
            for folder in (self.root, self.blobs, self._unpacked, self._tmp, self.build):
                folder.mkdir(parents=True, exist_ok=True)
            self.root.chmod(0o700)
            self._opened = True

    @asynccontextmanager
    async def workplace(self) -> AsyncIterator[Path]:
        """A folder of one's own, gone afterwards."""
        folder = self._tmp / uuid.uuid4().hex
        folder.mkdir()
        try:
            yield folder
        finally:
            await asyncio.to_thread(discard, folder)

    def path(self, digest: str) -> Path:
        """Where a blob lies, if it does."""
        return self.blobs / digest.removeprefix("sha256:")

    def rootfs(self, digest: str) -> Path:
        """Where an image's files lie, if they do."""
        return self._folder(digest) / "rootfs"

    def _folder(self, digest: str) -> Path:
        return self._unpacked / digest.removeprefix("sha256:")

    def get(self, digest: str) -> Record | None:
        """The image of that digest, if it can run from here."""
        if digest not in self._records:
            record = _read(self._folder(digest) / "image.json")
            if record and record.id_map_start == self._id_map_start:
                self._records[digest] = record
        return self._records.get(digest)

    def records(self) -> list[Record]:
        """Every image that can run from here."""
        folders = sorted(self._unpacked.iterdir()) if self._unpacked.is_dir() else []
        found = [self.get(f"sha256:{folder.name}") for folder in folders]
        return [record for record in found if record]

    def layers(self) -> dict[str, Descriptor]:
        """Every layer that images here have, by the digest of its uncompressed content."""
        pairs = [zip(record.diff_ids, record.layers, strict=True) for record in self.records()]
        return {diff_id: layer for pair in pairs for diff_id, layer in pair}

    def publish(self, record: Record, made: Path) -> None:
        """Make the image whose files are in <made>/rootfs known under its digest. Twice is as once."""
        (made / "image.json").write_text(json.dumps(asdict(record), indent=1))
        _flush(made)
        with suppress(OSError):
            made.rename(self._folder(record.digest))
        if not self.get(record.digest):
            shutil.rmtree(self._folder(record.digest), ignore_errors=True)
            made.rename(self._folder(record.digest))

    def adopt(self, source: Path, digests: Iterable[str], *, verify: bool, what: str) -> None:
        """Move blobs from another layout's blob folder here. `verify` checks content against the names, for
        sources that nobody has checked. Raises `Invalid` when one is missing or wrong."""
        for digest in digests:
            blob = source / digest.removeprefix("sha256:")
            if self.path(digest).exists():
                continue
            if not blob.exists():
                raise images_manifest.corrupt(what, f"its blob {digest} is missing")
            if verify and _hash(blob) != digest:
                raise images_manifest.corrupt(what, f"its blob {digest} has other content")
            os.chown(blob, 0, 0)
            blob.chmod(0o644)
            blob.rename(self.path(digest))

    def salvage(self, source: Path, manifest: Manifest) -> None:
        """Keep the layers that a fetch got whole (they appear under their name when they are), however it ended."""
        for layer in manifest.layers:
            blob = source / layer.digest.removeprefix("sha256:")
            if blob.exists() and not self.path(layer.digest).exists():
                blob.rename(self.path(layer.digest))

    def add(self, content: bytes) -> Descriptor:
        """Keep a small blob; its digest and size."""
        digest = images_manifest.digest_of(content)
        partial = self._tmp / uuid.uuid4().hex
        partial.write_bytes(content)
        partial.chmod(0o644)
        partial.rename(self.path(digest))
        return Descriptor("", digest, len(content))

    def forget(self, digests: Iterable[str]) -> None:
        """Remove blobs that turned out to be wrong, unless an image that runs from here is made of them."""
        needed = {digest for record in self.records() for digest in record.blobs}
        for digest in set(digests) - needed:
            self.path(digest).unlink(missing_ok=True)

    def layout(self, folder: Path, manifest: Manifest | None = None, *, also: Iterable[str] = ()) -> Path:
        """Make an OCI layout in `folder` that holds `manifest` under the tag `x` (or nothing) and, as hard links,
        those of its blobs and of `also` that are here."""
        blobs = folder / "blobs" / "sha256"
        blobs.mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        for digest in {*(manifest.blobs if manifest else ()), *also}:
            if self.path(digest).exists():
                os.link(self.path(digest), blobs / digest.removeprefix("sha256:"))
        if manifest:
            (folder / "index.json").write_text(json.dumps(_index(manifest, self.path(manifest.digest).stat().st_size)))
        return folder

    def stored(self, record: Record) -> Manifest:
        """The manifest of an image that is here."""
        return images_manifest.manifest(self.path(record.manifest).read_bytes(), record.digest)

    @contextmanager
    def held(self, digest: str) -> Iterator[None]:
        """The image's files stay meanwhile."""
        self._held[digest] += 1
        try:
            yield
        finally:
            self._held[digest] -= 1

    def remove(self, digest: str) -> Path | None:
        """Take an image away at once, unless it is held; the folder whose removal remains to be done."""
        if self._held[digest]:
            return None
        self._records.pop(digest, None)
        doomed = self._tmp / uuid.uuid4().hex
        try:
            self._folder(digest).rename(doomed)
        except FileNotFoundError:
            return None
        return doomed


def _read(path: Path) -> Record | None:
    try:
        fields = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    layers = [Descriptor(**layer) for layer in fields.pop("layers")]
    return Record(layers=layers, config=ImageConfig(**fields.pop("config")), **fields)


def _flush(folder: Path) -> None:
    """Put the whole file system on disk: after a power cut nothing may look finished that is not."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if _libc.syncfs(descriptor) != 0:
            raise OSError(ctypes.get_errno(), "cannot flush", str(folder))
    finally:
        os.close(descriptor)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _index(manifest: Manifest, size: int) -> dict[str, object]:
    entry = {
        "mediaType": images_manifest.OCI_MANIFEST,
        "digest": manifest.digest,
        "size": size,
        "annotations": {"org.opencontainers.image.ref.name": "x"},
    }
    return {"schemaVersion": 2, "manifests": [entry]}


def disk_usage(folder: Path) -> int:
    """Bytes that removing `folder` frees: files which nothing else links to."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            seen = os.lstat(os.path.join(parent, name))  # noqa: PTH118 a hundred thousand of them
            total += seen.st_blocks * 512 if seen.st_nlink == 1 else 0
    return total


def discard(folder: Path) -> None:
    """Remove a folder and what is in it; removing what is gone succeeds."""
    shutil.rmtree(folder, ignore_errors=True)


def discard_counting(folder: Path) -> int:
    """The same; how many bytes that freed."""
    freed = disk_usage(folder)
    discard(folder)
    return freed
