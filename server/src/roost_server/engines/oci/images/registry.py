"""Registries, by way of skopeo: what a reference points to, copying an image here, copying one there.

Credentials travel in a private file that lives as long as the command, and those of the host's users are never used.
Everything lands in a layout of the caller's own; nothing here knows what is stored on this machine.
"""

import asyncio
import base64
import ipaddress
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from roost_server.domain import image
from roost_server.domain.config import RegistryAuth
from roost_server.domain.image import Progress
from roost_server.engines.engine import OnProgress
from roost_server.engines.oci.images import failures, process
from roost_server.engines.oci.images import manifest as images_manifest
from roost_server.engines.oci.images.manifest import Manifest

POLL_SECONDS = 0.25
SKOPEO = ("skopeo", "--insecure-policy")


@dataclass(frozen=True)
class Source:
    """Where an image comes from or goes to, and with which credentials. `name` is as the caller wrote it."""

    name: str
    remote: str
    auth: RegistryAuth | None
    insecure: bool

    @property
    def host(self) -> str:
        """The registry, with its port."""
        return self.remote.partition("/")[0]

    def at(self, digest: str) -> str:
        """The same repository, at a digest."""
        repository = self.remote.partition("@")[0]
        head, _, tail = repository.rpartition("/")
        return f"{head}/{tail.partition(':')[0]}@{digest}"


def source(text: str, auth: RegistryAuth | None, insecure_registries: tuple[str, ...]) -> Source:
    """Read a reference. Registries on this machine and those of the setting may speak plain HTTP."""
    remote = image.parse(text).remote
    host = remote.partition("/")[0]
    insecure = is_loopback(host) or host in insecure_registries or _name(host) in insecure_registries
    return Source(text, remote, auth, insecure)


def is_loopback(host: str) -> bool:
    """Whether `host` (perhaps with a port) is this machine."""
    name = _name(host)
    if name == "localhost":
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(name).is_loopback
    return False


def _name(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


async def resolve(wanted: Source, folder: Path) -> Manifest:
    """The single-platform manifest for this machine that the reference points to now. Raises `Invalid`, also when
    the image is for other machines, which is found out before anything large is fetched."""
    content = await _inspect(wanted, wanted.remote, folder, "--raw")
    document = images_manifest.document(content, wanted.name)
    if images_manifest.is_index(document):
        chosen = images_manifest.choose(document, wanted.name)
        return images_manifest.manifest(await _inspect(wanted, wanted.at(chosen.digest), folder, "--raw"), wanted.name)
    found = images_manifest.manifest(content, wanted.name)
    images_manifest.configuration(
        await _inspect(wanted, wanted.at(found.digest), folder, "--config", "--raw"), wanted.name
    )
    return found


async def _inspect(wanted: Source, remote: str, folder: Path, *flags: str) -> bytes:
    async with _authfile(wanted, folder) as authfile:
        tls = ["--tls-verify=false"] if wanted.insecure else []
        command = [*SKOPEO, "inspect", *flags, *tls, f"--authfile={authfile}", f"docker://{remote}"]
        finished = await process.run(command)
    if finished.code != 0:
        raise failures.of_registry("pull", wanted.name, wanted.auth, finished.stderr)
    return finished.stdout


async def fetch(wanted: Source, manifest: Manifest, layout: Path, progress: OnProgress) -> None:
    """Copy what `manifest` names into `layout` (blobs that are there already are not fetched again)."""
    async with _authfile(wanted, layout.parent) as authfile, _watched(layout, manifest, progress):
        tls = ["--src-tls-verify=false"] if wanted.insecure else []
        finished = await process.run(
            [
                *SKOPEO, "copy", "--quiet", "--remove-signatures", "--dest-oci-accept-uncompressed-layers",
                *tls, f"--src-authfile={authfile}", f"docker://{wanted.at(manifest.digest)}", f"oci:{layout}:x",
            ],
            env={"TMPDIR": str(layout.parent)},
        )  # fmt: skip
    if finished.code != 0:
        raise failures.of_registry("pull", wanted.name, wanted.auth, finished.stderr)


async def send(wanted: Source, manifest: Manifest, layout: Path, progress: OnProgress) -> None:
    """Copy the image of `layout` to a registry. Uncompressed layers are compressed on the way, which gives the
    image another digest there."""
    progress(Progress("pushing", 0, sum(layer.size for layer in manifest.layers)))
    async with _authfile(wanted, layout.parent) as authfile:
        tls = ["--dest-tls-verify=false"] if wanted.insecure else []
        finished = await process.run(
            [*SKOPEO, "copy", "--quiet", *tls, f"--dest-authfile={authfile}", f"oci:{layout}:x", f"docker://{wanted.remote}"],
            env={"TMPDIR": str(layout.parent)},
        )  # fmt: skip
    if finished.code != 0:
        raise failures.of_registry("push", wanted.name, wanted.auth, finished.stderr)


@asynccontextmanager
async def _authfile(wanted: Source, folder: Path) -> AsyncIterator[Path]:
    path = folder / "auth.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps({"auths": _auths(wanted)}))
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _auths(wanted: Source) -> dict[str, dict[str, str]]:
    if not wanted.auth:
        return {}
    pair = f"{wanted.auth.username}:{wanted.auth.password or ''}"
    return {wanted.host: {"auth": base64.b64encode(pair.encode()).decode()}}


@asynccontextmanager
async def _watched(layout: Path, manifest: Manifest, progress: OnProgress) -> AsyncIterator[None]:
    """skopeo says little without a terminal, so progress is read off the files that grow."""
    total = sum(layer.size for layer in manifest.layers)
    progress(Progress("pulling", 0, total))
    watching = asyncio.create_task(_watch(layout, manifest, total, progress))
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _watch(layout: Path, manifest: Manifest, total: int, progress: OnProgress) -> None:
    while True:
        await asyncio.sleep(POLL_SECONDS)
        arrived = await asyncio.to_thread(_arrived, layout, manifest)
        progress(Progress("pulling", min(arrived, total), total))


def _arrived(layout: Path, manifest: Manifest) -> int:
    blobs = layout / "blobs" / "sha256"
    whole = {layer.digest: layer.size for layer in manifest.layers}
    done = sum(size for digest, size in whole.items() if (blobs / digest.removeprefix("sha256:")).exists())
    return done + sum(_size(path) for path in layout.glob("oci-put-blob*"))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
