"""OCI layouts that other programs wrote: which image in them is meant, and its manifest as it will be kept."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roost_server.engines.oci.images import manifest as images_manifest
from roost_server.engines.oci.images.manifest import Manifest


@dataclass(frozen=True)
class Found:
    """`digest` is what the image is known by, `content` the manifest to keep: the same, or converted to OCI's
    media types."""

    digest: str
    content: bytes
    manifest: Manifest


def blobs(layout: Path) -> Path:
    """Where a layout keeps its blobs."""
    return layout / "blobs" / "sha256"


def read(layout: Path, what: str) -> Found:
    """The one image of a layout, for this machine. Raises `Invalid` naming the images when it holds several."""
    index = images_manifest.document((layout / "index.json").read_bytes(), what)
    names = sorted({name for entry in index.get("manifests") or [] if (name := _name(entry))})
    if len(names) > 1:
        raise images_manifest.invalid(what, f"it holds {len(names)} images ({', '.join(names)}); save one at a time")
    content = _blob(layout, _only(index, what), what)
    document = images_manifest.document(content, what)
    if images_manifest.is_index(document):
        content = _blob(layout, images_manifest.choose(document, what).digest, what)
    return _kept(content, what)


def _name(entry: dict[str, Any]) -> str:
    annotations = entry.get("annotations") or {}
    return str(
        annotations.get("io.containerd.image.name") or annotations.get("org.opencontainers.image.ref.name") or ""
    )


def _only(index: dict[str, Any], what: str) -> str:
    entries = index.get("manifests") or []
    if len(entries) == 1 and isinstance(entries[0], dict):
        return str(entries[0].get("digest"))
    return images_manifest.choose(index, what).digest


def _blob(layout: Path, digest: str, what: str) -> bytes:
    path = blobs(layout) / digest.removeprefix("sha256:")
    if not path.is_file():
        raise images_manifest.corrupt(what, f"its blob {digest} is missing")
    content = path.read_bytes()
    if images_manifest.digest_of(content) != digest:
        raise images_manifest.corrupt(what, f"its blob {digest} has other content")
    return content


def _kept(content: bytes, what: str) -> Found:
    manifest = images_manifest.manifest(content, what)
    kinds = {manifest.config.media_type, *(layer.media_type for layer in manifest.layers)}
    if not kinds & set(images_manifest.TO_OCI):
        return Found(manifest.digest, content, manifest)
    written = images_manifest.written(manifest.config, list(manifest.layers))
    return Found(manifest.digest, written, images_manifest.manifest(written, what))
