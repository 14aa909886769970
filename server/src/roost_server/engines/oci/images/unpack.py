"""From a stored manifest to a root directory that boxes use as their lower layer.

An image that builds on one already here starts as hard links to its files, so a build on `builtin:runtime` costs
neither its disk nor its time again. The layers themselves are extracted by `layers`, in a process without
rights on the host; what that cannot do (hard links across layers, oddities of old archives) is done by umoci.
"""

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from roost_server.domain import errors
from roost_server.domain.image import Progress
from roost_server.engines.engine import OnProgress
from roost_server.engines.oci.images import failures, userns
from roost_server.engines.oci.images import manifest as images_manifest
from roost_server.engines.oci.images import process as images_process
from roost_server.engines.oci.images import store as images_store
from roost_server.engines.oci.images.manifest import Configuration, Descriptor, Manifest
from roost_server.engines.oci.images.store import Record, Store


@dataclass(frozen=True)
class Wanted:
    """An image whose blobs are all stored. `what` is its name in messages."""

    digest: str
    manifest: Manifest
    what: str


async def unpack(store: Store, wanted: Wanted, map_start: int, progress: OnProgress) -> Record:
    """Unpack the image and make it known under its digest. Raises `Invalid`."""
    if known := store.get(wanted.digest):
        return known
    config = read_configuration(store, wanted.manifest, wanted.what)
    async with store.workplace() as folder:
        base = await _begin(store, config, folder)
        job = _Job(store, folder, wanted, config, base, map_start)
        size = await job.extract(progress)
        record = _record(wanted, config, size, map_start)
        await asyncio.to_thread(_publish, store, record, folder)
    return record


def read_configuration(store: Store, manifest: Manifest, what: str) -> Configuration:
    """The stored configuration of an image. Raises `Invalid` when it does not fit its manifest."""
    content = store.path(manifest.config.digest).read_bytes()
    config = images_manifest.configuration(content, what)
    if len(config.diff_ids) != len(manifest.layers):
        raise images_manifest.invalid(what, "its configuration and its manifest disagree on the number of layers")
    return config


def _base(store: Store, config: Configuration) -> Record | None:
    """The unpacked image with the most layers that this one begins with."""
    fitting = [record for record in store.records() if list(config.diff_ids[: len(record.diff_ids)]) == record.diff_ids]
    return max(fitting, key=lambda record: len(record.diff_ids), default=None)


async def _begin(store: Store, config: Configuration, folder: Path) -> Record | None:
    """Start <folder>/rootfs from an image that is here, if one fits and its files can be linked to."""
    base = _base(store, config)
    if not base:
        return None
    with store.held(base.digest):
        clone = ["cp", "--archive", "--link", str(store.rootfs(base.digest)), str(folder / "rootfs")]
        finished = await images_process.run(clone)
    if finished.code == 0:
        return base
    await asyncio.to_thread(images_store.discard, folder / "rootfs")
    return None


@dataclass(frozen=True)
class _Job:
    """Filling <folder>/rootfs, which holds the files of `base` already if there is one."""

    store: Store
    folder: Path
    wanted: Wanted
    config: Configuration
    base: Record | None
    map_start: int

    async def extract(self, progress: OnProgress) -> int:
        """How many bytes the image has unpacked."""
        said = _Said(sum(blob.size for blob, _ in self._layers), progress)
        finished = await images_process.run(
            [sys.executable, "-m", f"{__package__}.layers"], stdin=self._order(), on_line=said.hear
        )
        if finished.code == 0:
            return said.size + (self.base.size_bytes if self.base else 0)
        if said.failure[0] != "unsupported":
            raise failed(self.wanted.what, *said.failure)
        return await self._extract_with_umoci()

    @property
    def _layers(self) -> list[tuple[Descriptor, str]]:
        skip = len(self.base.diff_ids) if self.base else 0
        return list(zip(self.wanted.manifest.layers, self.config.diff_ids, strict=True))[skip:]

    def _order(self) -> bytes:
        layers = [{"path": str(self.store.path(blob.digest)), "diff_id": diff_id} for blob, diff_id in self._layers]
        return json.dumps({"map_start": self.map_start, "target": str(self.folder), "layers": layers}).encode()

    async def _extract_with_umoci(self) -> int:
        layout = await asyncio.to_thread(self._umoci_layout)
        users = f"0:{self.map_start}:{userns.MAP_SIZE}"
        command = ["umoci", "raw", "unpack", "--image", f"{layout}:x", "--uid-map", users, "--gid-map", users]
        finished = await images_process.run([*command, str(self.folder / "rootfs")])
        if finished.code != 0:
            kind = "disk_full" if failures.is_full(finished.stderr) else "corrupt"
            raise failed(self.wanted.what, kind, finished.stderr.strip().split("\n")[-1])
        return await asyncio.to_thread(images_store.disk_usage, self.folder / "rootfs")

    def _umoci_layout(self) -> Path:
        images_store.discard(self.folder / "rootfs")
        return self.store.layout(self.folder / "layout", self.wanted.manifest)


class _Said:
    """What the extracting program says on standard error, line by line."""

    def __init__(self, total: int, progress: OnProgress) -> None:
        self.size = 0
        self.failure = ("unsupported", "it ended without a word")
        self._total, self._progress = total, progress

    def hear(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word == "progress":
            self._progress(Progress("unpacking", int(rest), self._total))
        elif word == "size":
            self.size = int(rest)
        elif word in ("corrupt:", "disk_full:", "unsupported:"):
            self.failure = (word.removesuffix(":"), rest)


def _record(wanted: Wanted, config: Configuration, size: int, map_start: int) -> Record:
    manifest = wanted.manifest
    return Record(
        digest=wanted.digest,
        manifest=manifest.digest,
        architecture=config.architecture,
        size_bytes=size,
        id_map_start=map_start,
        layers=list(manifest.layers),
        diff_ids=list(config.diff_ids),
        blobs=list(manifest.blobs),
        config=config.process,
    )


def _publish(store: Store, record: Record, folder: Path) -> None:
    made = folder / "image"
    made.mkdir()
    (folder / "rootfs").rename(made / "rootfs")
    store.publish(record, made)


def failed(what: str, kind: str, detail: str) -> errors.RoostError:
    """The error for a failure of kind corrupt or disk_full."""
    if kind == "disk_full":
        return failures.disk_full(f"unpack {what}", detail)
    error = images_manifest.corrupt(what, "its layers do not hold what it says")
    return errors.Invalid(error.message, reason=error.reason, detail=detail)
