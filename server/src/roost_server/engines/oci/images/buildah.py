"""One run of buildah, without a Docker daemon.

buildah and everything it runs live in a user namespace (see `userns`): the root of a RUN step is nobody on
the host. RUN steps use the host's network. What builds share with each other (base images, cached steps) lies in
<data_dir>/images/build.
"""

import asyncio
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from roost_server.domain import errors
from roost_server.domain.runtime import Reason
from roost_server.engines.engine import OnLine
from roost_server.engines.oci.images import build_files, failures, process, registry
from roost_server.engines.oci.images.store import Record, Store

STORAGE = ("--root=/mnt/storage", "--runroot=/mnt/run", "--storage-driver=overlay")
STORE_SPEC = "[overlay@/mnt/storage+/mnt/run]"
ENVIRONMENT = {
    "HOME": "/mnt/run",
    "TMPDIR": "/mnt/run",
    "XDG_RUNTIME_DIR": "/mnt/run",
    "XDG_CONFIG_HOME": "/mnt/run",
    "XDG_DATA_HOME": "/mnt/run",
    "XDG_CACHE_HOME": "/mnt/run",
    "_CONTAINERS_USERNS_CONFIGURED": "done",
    "CONTAINERS_REGISTRIES_CONF": "/mnt/conf/registries.conf",
    "REGISTRY_AUTH_FILE": "/mnt/conf/auth.json",
}
LAST_LINES = 10
SINCE = "since"
"""A file beside the storage, as old as it is."""


@dataclass(frozen=True)
class Order:
    """What to build. `dockerfile` is relative to the context; `bases` are the local images that it names, and
    `loopback_hosts` the registries on this machine that it does."""

    context: Path
    dockerfile: Path
    build_args: dict[str, str]
    bases: dict[str, Record]
    loopback_hosts: list[str]


@dataclass(frozen=True, eq=False)
class Build:
    """One build, done in the order of the methods. Folders of `folder` appear to it as /mnt/<name>."""

    store: Store
    map_start: int
    order: Order
    folder: Path

    async def prepare(self, extra_ca_certificates: Path | None) -> None:
        """Make the folders and files; the namespace's root owns those it may change."""
        copy = ["cp", "--archive", "--reflink=auto", f"{self.order.context}/", str(self.folder / "context")]
        copied = await process.run(copy)
        if copied.code != 0:
            raise _failed(copied.stderr.splitlines())
        await asyncio.to_thread(self._make_folders, extra_ca_certificates)

    def _make_folders(self, extra_ca_certificates: Path | None) -> None:
        run, conf, out = (self.folder / name for name in ("run", "conf", "out"))
        if not self._storage.exists() or not (self.store.build / SINCE).exists():
            self._storage.mkdir(exist_ok=True)
            (self.store.build / SINCE).touch()
        run.mkdir()
        build_files.write(conf, self.order.loopback_hosts, extra_ca_certificates)
        self.store.layout(out, also={blob for record in self._bases for blob in record.blobs})
        self._give([self._storage, run, *_all(conf), *_all(self.folder / "context"), *_folders(out)])

    def _give(self, paths: Iterable[Path]) -> None:
        """Make the namespace's root the owner."""
        for path in paths:
            os.chown(path, self.map_start, self.map_start, follow_symlinks=False)

    @property
    def _storage(self) -> Path:
        return self.store.build / "storage"

    @property
    def _bases(self) -> list[Record]:
        return list({record.digest: record for record in self.order.bases.values()}.values())

    async def bring_bases(self) -> None:
        """Have the local images that are named in buildah's storage."""
        for record in self._bases:
            seen = await self._inside("buildah", *STORAGE, "inspect", "--type=image", _storage_name(record))
            if seen.code != 0:
                await self._bring(record)

    async def _bring(self, record: Record) -> None:
        layout = self.folder / f"base-{record.digest.removeprefix('sha256:')}"
        await asyncio.to_thread(self.store.layout, layout, self.store.stored(record))
        self._give(_folders(layout))
        to = f"containers-storage:{STORE_SPEC}{_storage_name(record)}"
        brought = await self._inside(
            *registry.SKOPEO, "copy", "--quiet", "oci:/mnt/base:x", to, binds=[(layout, "base")]
        )
        if brought.code != 0:
            raise _broken(brought.stderr)

    async def run(self, write_line: OnLine) -> None:
        """Run the Dockerfile, telling each line of its output. Raises `Invalid` with the last of them."""
        lines: list[str] = []

        def hear(line: str) -> None:
            lines.append(line)
            write_line(line)

        finished = await self._inside(*self._command(), merged=True, on_line=hear)
        if finished.code != 0:
            raise _failed(lines)

    def _command(self) -> list[str]:
        bases = [
            f"--build-context={name}=container-image://{_storage_name(record)}"
            for name, record in self.order.bases.items()
        ]
        given = [f"--build-arg={name}={value}" for name, value in self.order.build_args.items()]
        return [
            "buildah", *STORAGE, "build", "--format=oci", "--layers", "--force-rm", "--network=host",
            "--isolation=rootless", "--runtime=/mnt/conf/runtime", "--signature-policy=/mnt/conf/policy.json",
            "--authfile=/mnt/conf/auth.json", "--iidfile=/mnt/run/id",
            f"--volume=/mnt/conf/ca.crt:{build_files.BUNDLE_IN_BUILDS}:ro",
            *bases, *given, f"--file=/mnt/context/{self.order.dockerfile}", "/mnt/context",
        ]  # fmt: skip

    async def export(self) -> Path:
        """The layout with the result. Uncompressed, so that layers of local bases need not be written again."""
        image_id = (self.folder / "run" / "id").read_text().strip().removeprefix("sha256:")
        exported = await self._inside(
            *registry.SKOPEO, "copy", "--quiet", "--dest-oci-accept-uncompressed-layers",
            f"containers-storage:{STORE_SPEC}@{image_id}", "oci:/mnt/out:x",
        )  # fmt: skip
        if exported.code != 0:
            raise _broken(exported.stderr)
        return self.folder / "out"

    async def _inside(
        self,
        *command: str,
        binds: list[tuple[Path, str]] | None = None,
        merged: bool = False,
        on_line: OnLine | None = None,
    ) -> process.Finished:
        """Run a command in the namespaces."""
        shown = [(self.folder / name, name) for name in ("run", "conf", "context", "out")]
        shown += [(self._storage, "storage"), *(binds or [])]
        options = [option for source, name in shown for option in ("--bind", f"{source}={name}")]
        program = [sys.executable, "-m", f"{__package__}.userns", str(self.map_start), *options, "--"]
        return await process.run([*program, *command], env=ENVIRONMENT, merged=merged, on_line=on_line)


def _all(folder: Path) -> list[Path]:
    return [folder, *folder.rglob("*")]


def _folders(layout: Path) -> list[Path]:
    """A layout without its blobs, which are the store's own files."""
    return [layout, layout / "blobs", layout / "blobs" / "sha256", *layout.glob("*.json"), layout / "oci-layout"]


def _storage_name(record: Record) -> str:
    return f"localhost/roost/{record.digest.removeprefix('sha256:')}"


def _failed(lines: list[str]) -> errors.RoostError:
    said = "\n".join(lines[-50:])
    if failures.is_full(said):
        return failures.disk_full("build the image", said)
    told = [line for line in lines if line.strip()][-LAST_LINES:]
    message = "cannot build the image; the last lines of the build were:\n" + "\n".join(told)
    return errors.Invalid(message[:4000], reason=Reason.IMAGE_BUILD_FAILED)


def _broken(said: str) -> errors.RoostError:
    words = failures.last_words(said)
    if failures.is_full(said):
        return failures.disk_full("build the image", words)
    message = f"cannot build the image: the build storage failed ({words}); try again"
    return errors.Unavailable(message, reason=Reason.ENGINE_UNAVAILABLE, detail=said)
