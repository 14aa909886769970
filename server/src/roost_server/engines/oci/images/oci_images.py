"""Images of this machine: pulled, loaded, built or made; unpacked once per digest; kept while anybody needs them.

The parts: `registry` talks to registries, `archive` reads archives, `build` builds, `builtin` makes
`builtin:runtime`; all end in an OCI layout of their own, whose blobs are moved to the store and unpacked.
"""

import asyncio
import errno
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from roost_server.domain import errors, image
from roost_server.domain.config import RegistryAuth
from roost_server.domain.image import ImageInfo
from roost_server.domain.runtime import Reason
from roost_server.engines.engine import OnLine, OnProgress
from roost_server.engines.oci.image import UnpackedImage
from roost_server.engines.oci.images import archive as images_archive
from roost_server.engines.oci.images import build, builtin, failures, registry, unpack
from roost_server.engines.oci.images import layout as images_layout
from roost_server.engines.oci.images.keep import Keeper, Work
from roost_server.engines.oci.images.manifest import Manifest
from roost_server.engines.oci.images.shared import Shared
from roost_server.engines.oci.images.store import Record, Store

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class ImageSettings:
    """What image work needs to know; nothing here reads the environment.

    `extra_ca_certificates` is a PEM bundle that builds trust besides the host's; `insecure_registries` are hosts
    (with or without port) that may speak plain HTTP, as those on this machine always may; `keep_recent_seconds` is
    how long an image is safe from `keep_only` after a caller was told of it.
    """

    data_dir: Path
    id_map_start: int = 231072
    extra_ca_certificates: Path | None = None
    insecure_registries: tuple[str, ...] = ()
    parallel_pulls: int = 3
    parallel_builds: int = 2
    keep_recent_seconds: float = 60.0


class OciImages:
    """Satisfies the protocols `Images` and `UnpackedImages`. One per data directory."""

    def __init__(self, settings: ImageSettings) -> None:
        self._settings = settings
        self._store = Store(settings.data_dir, settings.id_map_start)
        self._keeper = Keeper(self._store, settings.data_dir / "boxes", settings.keep_recent_seconds)
        self._pulls = asyncio.Semaphore(settings.parallel_pulls)
        self._builder = build.Builder(
            self._store,
            settings.id_map_start,
            settings.extra_ca_certificates,
            asyncio.Semaphore(settings.parallel_builds),
        )
        self._resolving: Shared[Record] = Shared()
        self._fetching: Shared[Record] = Shared()

    def unpacked(self, digest: str) -> UnpackedImage:
        """The image of that digest. Raises `Invalid` (reason `image_not_found`) when it isn't on this machine."""
        record = self._known(digest)
        return UnpackedImage(digest, self._store.rootfs(digest), record.config)

    async def images(self) -> list[ImageInfo]:
        """Everything unpacked on this machine."""
        return [record.info for record in await asyncio.to_thread(self._store.records)]

    async def pull(self, reference: str, auth: RegistryAuth | None, progress: OnProgress) -> ImageInfo:
        """Fetch and unpack what `reference` points to now. Callers at once share one pull."""
        wanted = registry.source(reference, auth, self._settings.insecure_registries)

        async def start(tell: OnProgress) -> Record:
            return await self._pull(wanted, tell)

        return self._handed_out(await self._resolving.run((reference, auth), start, progress))

    async def _pull(self, wanted: registry.Source, progress: OnProgress) -> Record:
        async with self._pulls:
            async with self._place(f"pull {wanted.name}") as (_, folder):
                manifest = await registry.resolve(wanted, folder)

            async def start(tell: OnProgress) -> Record:
                return await self._fetch(wanted, manifest, tell)

            return await self._fetching.run(manifest.digest, start, progress)

    async def _fetch(self, wanted: registry.Source, manifest: Manifest, progress: OnProgress) -> Record:
        async with self._place(f"pull {wanted.name}", *manifest.blobs) as (work, folder):
            if known := self._store.get(manifest.digest):
                return known
            layout = folder / "layout"
            async with self._keeper.still:
                await asyncio.to_thread(self._store.layout, layout, also=manifest.blobs)
            try:
                await registry.fetch(wanted, manifest, layout, progress)
            finally:
                self._store.salvage(images_layout.blobs(layout), manifest)
            found = await asyncio.to_thread(images_layout.read, layout, wanted.name)
            return await self._adopt(work, layout, replace(found, digest=manifest.digest), wanted.name, progress)

    async def load(self, archive: Path, progress: OnProgress) -> ImageInfo:
        """Import an oci-archive or docker-archive that holds one image."""
        what = f"the archive {archive.name}"
        async with self._place(f"load {archive.name}") as (work, folder):
            layout = await images_archive.unfold(archive, folder, progress)
            found = await asyncio.to_thread(images_layout.read, layout, what)
            return self._handed_out(await self._adopt(work, layout, found, what, progress, verify=True))

    async def build(
        self,
        context: Path,
        dockerfile: str,
        build_args: dict[str, str],
        local: dict[str, str],
        write_line: OnLine,
    ) -> ImageInfo:
        """Build a Dockerfile in a directory. `local` maps names that FROM may use to digests on this machine."""
        order = await asyncio.to_thread(build.read_order, context, dockerfile, build_args, local, self._known)
        pins = [blob for record in order.bases.values() for blob in (record.digest, *record.blobs)]
        async with self._place("build the image", *pins) as (work, folder):
            layout = await self._builder.build(order, folder, write_line)
            found = await asyncio.to_thread(build.read_result, self._store, layout)
            record = await self._adopt(work, layout, found, build.RESULT, lambda _: None, verify=True)
            return self._handed_out(record)

    async def make_builtin(self, progress: OnProgress) -> ImageInfo:
        """`builtin:runtime`, made once and then kept."""
        return self._handed_out(await self._fetching.run(image.BUILTIN, self._make_builtin, progress))

    async def _make_builtin(self, progress: OnProgress) -> Record:
        async with self._place(f"make {image.BUILTIN}") as (work, folder):
            made = builtin.remembered(self._store)
            if made and (known := self._store.get(made)):
                return known
            layout = await builtin.make(folder, progress)
            found = await asyncio.to_thread(images_layout.read, layout, image.BUILTIN)
            record = await self._adopt(work, layout, found, image.BUILTIN, progress)
            builtin.remember(self._store, record.digest)
            return record

    async def push(self, digest: str, reference: str, auth: RegistryAuth | None, progress: OnProgress) -> None:
        """Copy an image of this machine to a registry. Uncompressed layers are compressed on the way, which gives
        such an image another digest there."""
        wanted = registry.source(reference, auth, self._settings.insecure_registries)
        record = self._known(digest)
        async with self._place(f"push {reference}", digest, *record.blobs) as (_, folder):
            manifest = self._store.stored(record)
            async with self._keeper.still:
                layout = await asyncio.to_thread(self._store.layout, folder / "layout", manifest)
            await registry.send(wanted, manifest, layout, progress)

    async def keep_only(self, digests: Sequence[str]) -> int:
        """Remove every other image that no box uses; how many bytes that freed."""
        await asyncio.to_thread(self._store.open)
        made = builtin.remembered(self._store)
        freed = await self._keeper.keep_only([*digests, *([made] if made else [])])
        return freed + await asyncio.to_thread(self._builder.forget_old_cache)

    @asynccontextmanager
    async def _place(self, doing: str, *pins: str) -> AsyncIterator[tuple[Work, Path]]:
        """Work that keeps the blobs `pins`, with a folder of its own. A full disk is said so, wherever it shows."""
        await asyncio.to_thread(self._store.open)
        try:
            with self._keeper.working(*pins) as work:
                async with self._store.workplace() as folder:
                    yield work, folder
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise
            raise failures.disk_full(doing, str(error)) from error

    async def _adopt(
        self,
        work: Work,
        layout: Path,
        found: images_layout.Found,
        what: str,
        progress: OnProgress,
        *,
        verify: bool = False,
    ) -> Record:
        """Move a layout's blobs to the store and unpack the image. What turns out corrupt is not kept."""
        manifest = found.manifest
        work.pins.update(manifest.blobs)
        source = images_layout.blobs(layout)
        async with self._keeper.still:
            await asyncio.to_thread(self._store.adopt, source, manifest.blobs[1:], verify=verify, what=what)
            self._store.add(found.content)
        wanted = unpack.Wanted(found.digest, manifest, what)
        try:
            return await unpack.unpack(self._store, wanted, self._settings.id_map_start, progress)
        except errors.Invalid as error:
            if error.reason == Reason.IMAGE_CORRUPT:
                self._store.forget(manifest.blobs)
            raise

    def _known(self, digest: str) -> Record:
        record = self._store.get(digest)
        if not record:
            message = f"cannot use the image {digest}: it is not on this machine; pull it again"
            raise errors.Invalid(message, reason=Reason.IMAGE_NOT_FOUND)
        return record

    def _handed_out(self, record: Record) -> ImageInfo:
        self._keeper.handed_out(record.digest)
        return record.info
