"""What manifests and image configurations say. Pure: bytes in, decisions out.

Shapes are those of the OCI image specification 1.1 and of Docker's schema 2, which differ in media types only.
Attestation manifests (platform `unknown/unknown`, as BuildKit writes them) are never a choice.
"""

import hashlib
import json
import platform
from dataclasses import dataclass
from typing import Any

from roost_server.domain import errors
from roost_server.domain.image import DIGEST, ImageConfig
from roost_server.domain.runtime import Reason

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIGS = (OCI_CONFIG, "application/vnd.docker.container.image.v1+json")
TO_OCI = {
    DOCKER_MANIFEST: OCI_MANIFEST,
    "application/vnd.docker.container.image.v1+json": OCI_CONFIG,
    "application/vnd.docker.image.rootfs.diff.tar": OCI_LAYER,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": f"{OCI_LAYER}+gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd": f"{OCI_LAYER}+zstd",
}
MACHINES = {
    "x86_64": ("amd64", ("", "v1")),
    "aarch64": ("arm64", ("v8", "")),
    "armv7l": ("arm", ("v7", "v6", "v5", "")),
    "armv6l": ("arm", ("v6", "v5", "")),
    "i686": ("386", ("",)),
}
"""What the kernel calls a machine → the architecture's name in images and the variants it runs, best first."""


@dataclass(frozen=True)
class Descriptor:
    """A blob as a manifest names it."""

    media_type: str
    digest: str
    size: int

    def document(self) -> dict[str, Any]:
        """The JSON form."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


@dataclass(frozen=True)
class Manifest:
    """A single-platform manifest."""

    digest: str
    config: Descriptor
    layers: tuple[Descriptor, ...]

    @property
    def blobs(self) -> tuple[str, ...]:
        """Every digest it needs, its own included."""
        return (self.digest, self.config.digest, *(layer.digest for layer in self.layers))


@dataclass(frozen=True)
class Configuration:
    """What the image's configuration blob says."""

    architecture: str
    diff_ids: tuple[str, ...]
    process: ImageConfig


def architecture() -> str:
    """This machine's architecture, as images name it."""
    machine = platform.machine()
    return MACHINES.get(machine, (machine, ("",)))[0]


def digest_of(content: bytes) -> str:
    """The digest of some bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def is_index(document: dict[str, Any]) -> bool:
    """Whether it lists manifests of several platforms rather than the layers of one."""
    return "manifests" in document


def document(content: bytes, what: str) -> dict[str, Any]:
    """The JSON object in `content`. Raises `Invalid` naming `what`."""
    try:
        parsed = json.loads(content)
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise corrupt(what, "what should be a JSON document is not one")
    return parsed


def choose(index: dict[str, Any], what: str) -> Descriptor:
    """The entry of an index for this machine. Raises `Invalid` naming what there is instead."""
    wanted, variants = MACHINES.get(platform.machine(), (platform.machine(), ("",)))
    entries = [entry for entry in _entries(index, what) if not _is_attestation(entry)]
    for variant in variants:
        for entry in entries:
            if _platform(entry) == ("linux", wanted, variant):
                return _descriptor(entry, what)
    if len(entries) == 1 and "platform" not in entries[0]:
        return _descriptor(entries[0], what)
    offered = sorted({"/".join(part for part in _platform(entry) if part) for entry in entries})
    raise wrong_architecture(what, ", ".join(offered) or "no platform at all")


def _entries(index: dict[str, Any], what: str) -> list[dict[str, Any]]:
    entries = index.get("manifests")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise invalid(what, "its index lists no manifests")
    return entries


def _platform(entry: dict[str, Any]) -> tuple[str, str, str]:
    found = _mapping(entry.get("platform"))
    return str(found.get("os", "")), str(found.get("architecture", "")), str(found.get("variant", ""))


def _is_attestation(entry: dict[str, Any]) -> bool:
    annotated = _mapping(entry.get("annotations")).get("vnd.docker.reference.type") == "attestation-manifest"
    return annotated or _platform(entry)[:2] == ("unknown", "unknown")


def manifest(content: bytes, what: str) -> Manifest:
    """Read a single-platform manifest. Raises `Invalid` when it is not an image's."""
    parsed = document(content, what)
    if "fsLayers" in parsed:
        raise invalid(what, "its manifest has Docker's old schema 1; push it again with a current tool")
    if "config" not in parsed or not isinstance(parsed.get("layers"), list):
        raise invalid(what, f"it is not a container image ({parsed.get('mediaType', 'unknown media type')})")
    config = _descriptor(parsed["config"], what)
    if config.media_type not in CONFIGS:
        kind = parsed.get("artifactType") or config.media_type
        raise invalid(what, f"it is not a container image but {kind}")
    return Manifest(digest_of(content), config, tuple(_descriptor(layer, what) for layer in parsed["layers"]))


def _descriptor(entry: object, what: str) -> Descriptor:
    if not isinstance(entry, dict) or not DIGEST.fullmatch(str(entry.get("digest"))):
        raise invalid(what, "its manifest names a blob without a sha256 digest")
    size = entry.get("size")
    return Descriptor(str(entry.get("mediaType", "")), entry["digest"], size if isinstance(size, int) else 0)


def configuration(content: bytes, what: str) -> Configuration:
    """Read a configuration blob. Raises `Invalid` when it is unusable or for another system."""
    parsed = document(content, what)
    system, built_for = str(parsed.get("os", "linux")), str(parsed.get("architecture", ""))
    if system != "linux" or built_for != architecture():
        raise wrong_architecture(what, f"{system}/{built_for or 'unknown'}")
    diff_ids = _texts(_mapping(parsed.get("rootfs")).get("diff_ids"))
    if not all(DIGEST.fullmatch(diff_id) for diff_id in diff_ids):
        raise invalid(what, "its configuration does not name its layers")
    return Configuration(built_for, tuple(diff_ids), _process(_mapping(parsed.get("config"))))


def _process(config: dict[str, Any]) -> ImageConfig:
    return ImageConfig(
        entrypoint=_texts(config.get("Entrypoint")),
        cmd=_texts(config.get("Cmd")),
        env=_texts(config.get("Env")),
        user=str(config.get("User") or ""),
        workdir=str(config.get("WorkingDir") or "/"),
        stop_signal=str(config.get("StopSignal") or "SIGTERM"),
        exposed_ports=_tcp_ports(_mapping(config.get("ExposedPorts"))),
    )


def _tcp_ports(exposed: dict[str, Any]) -> list[int]:
    named = [str(port).partition("/") for port in exposed]
    return sorted({int(number) for number, _, kind in named if number.isdecimal() and kind in ("", "tcp")})


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def written(config: Descriptor, layers: list[Descriptor]) -> bytes:
    """An OCI manifest of these blobs, byte for byte the same for the same blobs."""
    body = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": _as_oci(config).document(),
        "layers": [_as_oci(layer).document() for layer in layers],
    }
    return json.dumps(body, separators=(",", ":")).encode()


def _as_oci(blob: Descriptor) -> Descriptor:
    return Descriptor(TO_OCI.get(blob.media_type, blob.media_type), blob.digest, blob.size)


def invalid(what: str, why: str) -> errors.Invalid:
    """It can never run: what it is instead."""
    return errors.Invalid(f"cannot use {what}: {why}", reason=Reason.IMAGE_INVALID)


def corrupt(what: str, why: str) -> errors.Invalid:
    """Its content contradicts its digests."""
    message = f"cannot use {what}: {why}; push or build the image again"
    return errors.Invalid(message, reason=Reason.IMAGE_CORRUPT)


def wrong_architecture(what: str, offered: str) -> errors.Invalid:
    """It is for other machines, named in `offered`."""
    message = (
        f"cannot run {what} on this machine, which is linux/{architecture()}: the image is for {offered}; "
        f"build it for linux/{architecture()}"
    )
    return errors.Invalid(message, reason=Reason.IMAGE_ARCHITECTURE)
