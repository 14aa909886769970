"""Image: an OCI image by reference and digest, as this installation knows it, and how references are read."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from roost_server.domain import errors

BUILTIN = "builtin:runtime"

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9a-fA-F:]+\])"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?:(?P<host>{_HOST}(?::[0-9]+)?)/)?(?P<path>{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


@dataclass(frozen=True)
class Reference:
    """A parsed image reference. `host` is None for a short name, which means: local first, then docker.io."""

    host: str | None
    path: str
    tag: str | None
    digest: str | None

    @property
    def name(self) -> str:
        """The reference without its digest, the tag made explicit: what a local image is stored under."""
        prefix = f"{self.host}/" if self.host else ""
        return f"{prefix}{self.path}:{self.tag or 'latest'}"

    @property
    def remote(self) -> str:
        """What a registry client is given: host always present, a digest rather than a tag when both are."""
        host = self.host or "docker.io"
        path = f"library/{self.path}" if host == "docker.io" and "/" not in self.path else self.path
        return f"{host}/{path}@{self.digest}" if self.digest else f"{host}/{path}:{self.tag or 'latest'}"


def parse(text: str, field_path: tuple[str | int, ...] = ("config", "build", "source", "ref")) -> Reference:
    """Read an image reference. Raises `Invalid` naming the field when it is not one."""
    matched = _REFERENCE.fullmatch(text)
    if not matched or len(text) > 512:
        message = f'cannot read "{text[:100]}" as an image reference: expected [host[:port]/]path[:tag][@sha256:…]'
        raise errors.Invalid(message, errors=[errors.FieldError(field_path, message)])
    host, path = matched["host"], matched["path"]
    if host and not ("." in host or ":" in host or host == "localhost"):
        host, path = None, f"{host}/{path}"
    return Reference(host, path, matched["tag"], matched["digest"])


class ImageStatus(StrEnum):
    PENDING = "pending"  # waits to be pulled, built or loaded, or until something wants it
    PULLING = "pulling"  # bytes are being fetched, built or unpacked
    READY = "ready"  # unpacked on this machine; pulled again should that be lost
    FAILED = "failed"  # `reason` and `message` say why


ALLOWED: dict[ImageStatus, frozenset[ImageStatus]] = {
    ImageStatus.PENDING: frozenset({ImageStatus.PULLING, ImageStatus.READY, ImageStatus.FAILED}),
    ImageStatus.PULLING: frozenset({ImageStatus.PENDING, ImageStatus.READY, ImageStatus.FAILED}),
    ImageStatus.READY: frozenset({ImageStatus.PULLING}),
    ImageStatus.FAILED: frozenset({ImageStatus.PULLING}),
}


class ImageSource(StrEnum):
    PULL = "pull"  # from a registry
    LOAD = "load"  # from an archive the caller sent
    BUILD = "build"  # from a Dockerfile and a context the caller sent
    BUILTIN = "builtin"  # made by Roost


@dataclass(frozen=True)
class Progress:
    """How far a pull or build is. `total_bytes` is 0 while unknown; `step` is for people ("unpacking")."""

    step: str = ""
    done_bytes: int = 0
    total_bytes: int = 0


@dataclass(frozen=True)
class ImageConfig:
    """What the image itself says to run. Shapes as in the OCI image specification."""

    entrypoint: list[str] = field(default_factory=list)
    cmd: list[str] = field(default_factory=list)
    env: list[str] = field(default_factory=list)
    user: str = ""
    workdir: str = "/"
    stop_signal: str = "SIGTERM"
    exposed_ports: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class ImageInfo:
    """An image that lies unpacked on this machine. `digest` is of the single-platform manifest that runs."""

    digest: str
    architecture: str
    size_bytes: int
    config: ImageConfig


@dataclass(frozen=True)
class Image:
    """A row: one resolution of a reference. A version keeps its image row, so its digest never moves."""

    id: str
    workspace_id: str
    reference: str
    source: ImageSource
    status: ImageStatus
    reason: str | None
    message: str | None
    digest: str | None
    architecture: str | None
    size_bytes: int | None
    progress: Progress
    revision: int
    created_at: datetime
    updated_at: datetime
