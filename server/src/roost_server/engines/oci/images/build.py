"""Build a Dockerfile: what is ordered, and what comes of it. `buildah` does the work in between.

What builds share is a cache: it is thrown away whole once it is a week old, at a time when no build runs.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from roost_server.domain import errors
from roost_server.domain.runtime import Reason
from roost_server.engines.engine import OnLine
from roost_server.engines.oci.images import dockerfile as images_dockerfile
from roost_server.engines.oci.images import layout as images_layout
from roost_server.engines.oci.images import manifest as images_manifest
from roost_server.engines.oci.images import registry
from roost_server.engines.oci.images import store as images_store
from roost_server.engines.oci.images.buildah import SINCE, Build, Order
from roost_server.engines.oci.images.layout import Found
from roost_server.engines.oci.images.store import Record, Store

CACHE_SECONDS = 7 * 24 * 3600
RESULT = "the built image"


def read_order(
    context: Path,
    dockerfile: str,
    build_args: dict[str, str],
    local: dict[str, str],
    find: Callable[[str], Record],
) -> Order:
    """Look at what is to be built; `find` gives the image of a digest. Raises `Invalid` when the context or the
    Dockerfile cannot be used. Bases stand under their names as written and as meant: whether buildah looks them up
    before or after it expands variables depends on its version."""
    path = _dockerfile(context, dockerfile)
    named = images_dockerfile.images_named(path.read_text(errors="replace"), build_args)
    bases = {}
    for written, name in named.items():
        if digest := local.get(name) or local.get(f"{name}:latest"):
            bases[written] = bases[name] = find(digest)
    hosts = [host for name in named.values() if registry.is_loopback(host := name.partition("/")[0])]
    return Order(context, path.relative_to(context.resolve()), build_args, bases, hosts)


def _dockerfile(context: Path, dockerfile: str) -> Path:
    if not context.is_dir():
        raise _impossible(f"the context {context} is not a directory")
    path = (context / dockerfile).resolve()
    if not path.is_relative_to(context.resolve()):
        raise _impossible(f'the Dockerfile "{dockerfile}" lies outside the context')
    if not path.is_file():
        raise _impossible(f'the context has no file "{dockerfile}"')
    return path


def _impossible(why: str) -> errors.Invalid:
    return errors.Invalid(f"cannot build the image: {why}", reason=Reason.IMAGE_BUILD_FAILED)


@dataclass
class Builder:
    """All builds of one data directory."""

    store: Store
    map_start: int
    extra_ca_certificates: Path | None
    slots: asyncio.Semaphore
    _running: set[Build] = field(default_factory=set)

    async def build(self, order: Order, folder: Path, write_line: OnLine) -> Path:
        """The layout under `folder` that holds the image. Raises `Invalid` with the last lines when a step fails."""
        build = Build(self.store, self.map_start, order, folder)
        async with self.slots:
            self._running.add(build)
            try:
                await build.prepare(self.extra_ca_certificates)
                await build.bring_bases()
                await build.run(write_line)
                return await build.export()
            finally:
                self._running.discard(build)

    def forget_old_cache(self) -> int:
        """Throw away what builds share when it is old and none runs; how many bytes that freed."""
        since = self.store.build / SINCE
        if self._running or not since.exists() or time.time() - since.stat().st_mtime < CACHE_SECONDS:
            return 0
        return images_store.discard_counting(self.store.build / "storage")


def read_result(store: Store, layout: Path) -> Found:
    """The built image, its layers named as the store has them where it has them in another compression."""
    found = images_layout.read(layout, RESULT)
    blob = images_layout.blobs(layout) / found.manifest.config.digest.removeprefix("sha256:")
    config = images_manifest.configuration(blob.read_bytes(), RESULT)
    known = store.layers()
    layers = [known.get(diff_id, layer) for diff_id, layer in zip(config.diff_ids, found.manifest.layers, strict=True)]
    content = images_manifest.written(found.manifest.config, layers)
    manifest = images_manifest.manifest(content, RESULT)
    return Found(manifest.digest, content, manifest)
