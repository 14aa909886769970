"""Small images for tests, byte by byte: layers from dictionaries, manifests of every kind."""

import gzip
import hashlib
import io
import json
import platform
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.registry import OCI_MANIFEST, Registry

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
FOREIGN = "arm64" if ARCHITECTURE == "amd64" else "amd64"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEX = "application/vnd.oci.image.index.v1+json"
BUSYBOX = Path("/usr/bin/busybox") if Path("/usr/bin/busybox").exists() else Path("/bin/busybox")

Files = dict[str, "bytes | Link | Directory"]


@dataclass(frozen=True)
class Link:
    """A symbolic link, or a hard one."""

    to: str
    hard: bool = False


@dataclass(frozen=True)
class Directory:
    mode: int = 0o755
    uid: int = 0


def tar(files: Files) -> bytes:
    """A layer. Names are written as given, so that strange ones are possible."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            archive.addfile(_member(name, content), io.BytesIO(content) if isinstance(content, bytes) else None)
    return out.getvalue()


def _member(name: str, content: "bytes | Link | Directory") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.mtime, member.mode = 1_700_000_000, 0o755
    if isinstance(content, bytes):
        member.size = len(content)
    elif isinstance(content, Link):
        member.type, member.linkname = (tarfile.LNKTYPE if content.hard else tarfile.SYMTYPE), content.to
    else:
        member.type, member.mode, member.uid = tarfile.DIRTYPE, content.mode, content.uid
    return member


def encoded(document: dict[str, Any]) -> bytes:
    """As the registry is sent it."""
    return json.dumps(document).encode()


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass
class Image:
    """What to put somewhere. `diff_ids` may lie."""

    layers: list[Files]
    config: dict[str, Any] = field(default_factory=dict)
    architecture: str = ARCHITECTURE
    docker: bool = False
    diff_ids: list[str] | None = None

    def configuration(self) -> bytes:
        honest = [digest_of(tar(files)) for files in self.layers]
        document = {
            "architecture": self.architecture,
            "os": "linux",
            "config": self.config,
            "rootfs": {"type": "layers", "diff_ids": self.diff_ids or honest},
            "history": [{"created_by": "test"} for _ in self.layers],
        }
        return encoded(document)

    def blobs(self) -> list[bytes]:
        """The configuration, then the compressed layers."""
        return [self.configuration(), *(gzip.compress(tar(files), 1, mtime=0) for files in self.layers)]

    def manifest(self) -> dict[str, Any]:
        config, *layers = self.blobs()
        return {
            "schemaVersion": 2,
            "mediaType": DOCKER_MANIFEST if self.docker else OCI_MANIFEST,
            "config": self._descriptor(config, "config"),
            "layers": [self._descriptor(layer, "layer") for layer in layers],
        }

    def _descriptor(self, content: bytes, kind: str) -> dict[str, Any]:
        oci = {"config": "config.v1+json", "layer": "layer.v1.tar+gzip"}
        docker = {"config": "container.image.v1+json", "layer": "image.rootfs.diff.tar.gzip"}
        media_type = (
            f"application/vnd.docker.{docker[kind]}" if self.docker else f"application/vnd.oci.image.{oci[kind]}"
        )
        return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}

    def layer_digest(self, number: int = 0) -> str:
        digest: str = self.manifest()["layers"][number]["digest"]
        return digest


def put(registry: Registry, name: str, image: Image) -> str:
    """Have an image in a registry under repository:tag; its manifest's digest."""
    repository, _, tag = name.partition(":")
    for blob in image.blobs():
        registry.put_blob(repository, blob)
    return registry.put_manifest(repository, image.manifest(), tag or None)


def index(entries: list[dict[str, Any]]) -> dict[str, Any]:
    return {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}


def entry(image: Image, architecture: str, system: str = "linux", **more: Any) -> dict[str, Any]:
    content = encoded(image.manifest())
    platform_of = {"architecture": architecture, "os": system}
    return {
        "mediaType": OCI_MANIFEST,
        "digest": digest_of(content),
        "size": len(content),
        "platform": platform_of,
        **more,
    }


def busybox() -> Image:
    """A tiny system with a shell."""
    names = ("sh", "cat", "ls", "id", "echo", "mkdir", "rm", "true", "false", "env", "test", "seq", "wget", "ip")
    files: Files = {"bin/": Directory(), "bin/busybox": BUSYBOX.read_bytes()}
    files |= {f"bin/{name}": Link("busybox") for name in names}
    files |= {"tmp/": Directory(0o1777), "etc/": Directory(), "etc/passwd": b"root:x:0:0:root:/:/bin/sh\n"}
    return Image([files], {"Env": ["PATH=/bin"], "Cmd": ["sh"]})
