"""`builtin:runtime`: a small system of the host's own distribution, made once by mmdebstrap from the host's sources.

It is meant to work in: Python with pip and venv, curl, apt; documentation is left out (copyrights stay), and pip may
install into the system, as in other images that hold one application. Its command sleeps; boxes put an init before it.
Its one layer is kept uncompressed: made, unpacked and built upon faster, and compressed when it is pushed.
"""

import asyncio
import hashlib
import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path

from roost_server.domain import errors
from roost_server.domain.image import Progress
from roost_server.domain.runtime import Reason
from roost_server.engines.engine import OnProgress
from roost_server.engines.oci.images import failures, process
from roost_server.engines.oci.images import layout as images_layout
from roost_server.engines.oci.images import manifest as images_manifest
from roost_server.engines.oci.images.store import Store

PACKAGES = ("ca-certificates", "curl", "iproute2", "procps", "python3", "python3-pip", "python3-venv")
RECIPE = 1
"""Raised when this file makes another image, so that existing installations make theirs anew."""
USUAL_BYTES = 160_000_000
USUAL_EVENTS = 520
MEMORY_BYTES = 2 << 30
MERGED_USR = "/usr/share/mmdebstrap/hooks/maybe-merged-usr"
DOCUMENTS = "doc man info locale lintian linda groff"
ORIGINS = ("Debian", "Ubuntu")

_EVENT = re.compile(r"(Get:\d+|Selecting|Unpacking|Setting up) ")
_PHASES = (
    ("running apt-get update", "reading package lists"),
    ("downloading packages", "downloading"),
    ("extracting archives", "extracting"),
    ("installing", "installing"),
    ("creating tarball", "packing"),
)
_IN_TMPFS = 'mount -t tmpfs -o mode=0755 roost /mnt && shift && exec env TMPDIR=/mnt "$@"'
_IN_FOLDER = 'mount --bind "$1" /mnt && shift && exec env TMPDIR=/mnt "$@"'
_USE_HOST_LISTS = """mkdir -p "$1/var/lib/apt/lists" &&
cp --no-clobber /var/lib/apt/lists/*_InRelease /var/lib/apt/lists/*_Packages* "$1/var/lib/apt/lists/" 2>&1 || true"""
_LEAVE_OUT = f"""mkdir -p "$1/etc/dpkg/dpkg.cfg.d"
{{ for name in {DOCUMENTS}; do echo "path-exclude=/usr/share/$name/*"; done
echo "path-include=/usr/share/doc/*/copyright"; }} > "$1/etc/dpkg/dpkg.cfg.d/roost" """
_CLEAN = f"""cd "$1/usr/share" && for name in {DOCUMENTS}; do [ ! -d "$name" ] || {{
find "$name" ! -type d ! -name copyright -delete && find "$name" -mindepth 1 -type d -empty -delete; }}; done
rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED"""


class Watcher:
    """Turns mmdebstrap's words into progress. Bytes are an estimate that only makes a bar move evenly."""

    def __init__(self, progress: OnProgress) -> None:
        self._progress, self._step, self._events = progress, "starting", 0
        self.lines: list[str] = []

    def hear(self, line: str) -> None:
        self.lines.append(line)
        if line.startswith("I: "):
            self._step = next((step for words, step in _PHASES if words in line), self._step)
        elif _EVENT.match(line):
            self._events += 1
        share = min(self._events / USUAL_EVENTS, 0.97)
        self._progress(Progress(self._step, int(share * USUAL_BYTES), USUAL_BYTES))


async def make(folder: Path, progress: OnProgress) -> Path:
    """A layout under `folder` that holds the image. Raises `Unavailable` when the packages cannot be had."""
    watcher = Watcher(progress)
    layer = folder / "layer.tar"
    command = [*_private(folder), "mmdebstrap", *_options(), *await _proxies(), _suite(), "-", *await _sources()]
    with layer.open("wb") as file:
        finished = await process.run(command, stdout=file.fileno(), on_line=watcher.hear)
    if finished.code != 0:
        raise _failed(watcher.lines)
    return await asyncio.to_thread(_layout, folder, layer)


def _private(folder: Path) -> list[str]:
    """In namespaces of its own, and in memory when there is plenty: a third less time than on disk."""
    work = folder / "work"
    work.mkdir()
    script = _IN_TMPFS if _available_memory() > MEMORY_BYTES else _IN_FOLDER
    namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return [*namespaces, "sh", "-c", script, "sh", str(work)]


def _available_memory() -> int:
    found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    return int(found[1]) * 1024 if found else 0


def _options() -> list[str]:
    hooks = [f"--setup-hook={_USE_HOST_LISTS}"]
    hooks += [f"--hook-dir={MERGED_USR}"] if Path(MERGED_USR).is_dir() else []
    hooks += [f"--extract-hook={_LEAVE_OUT}", f"--customize-hook={_CLEAN}"]
    return [
        "--verbose", "--mode=root", "--variant=minbase", "--format=tar", "--skip=output/dev",
        f"--include={','.join(PACKAGES)}", *hooks,
    ]  # fmt: skip


def _suite() -> str:
    found = re.search(r"^VERSION_CODENAME=\"?([a-z]+)", Path("/etc/os-release").read_text(), re.MULTILINE)
    return found[1] if found else "stable"


async def _sources() -> list[str]:
    """The distribution's own entries among the host's package sources; none means mmdebstrap's defaults."""
    line = "$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(SIGNED_BY)|$(ORIGIN)"
    finished = await process.run(["apt-get", "indextargets", "Created-By: Packages", "--format", line])
    found = [_source(*fields) for row in finished.stdout.decode().split() if len(fields := row.split("|")) == 5]
    return list(dict.fromkeys(source for source in found if source))


def _source(uri: str, release: str, component: str, signed_by: str, origin: str) -> str | None:
    if origin not in ORIGINS and not (origin.startswith("$") and release.startswith(_suite())):
        return None
    signed = f"[signed-by={signed_by}] " if signed_by.startswith("/") else ""
    return f"deb {signed}{uri} {release} {component}"


async def _proxies() -> list[str]:
    finished = await process.run(["apt-config", "dump"])
    lines = [
        line for line in finished.stdout.decode().splitlines() if line.startswith("Acquire::") and '""' not in line
    ]
    return [f"--aptopt={line}" for line in lines if re.match(r"Acquire::https?::(Proxy|CaInfo)", line, re.IGNORECASE)]


def _failed(lines: list[str]) -> errors.RoostError:
    said = "\n".join(lines[-30:])
    if failures.is_full(said):
        return failures.disk_full("make builtin:runtime", said)
    told = [line for line in lines if line.startswith("E:")] or lines[-1:]
    message = f"cannot make builtin:runtime: {' '.join(told)[:500]}; check that apt-get update works on this host"
    return errors.Unavailable(message, reason=Reason.IMAGE_BUILD_FAILED, detail=said)


def _layout(folder: Path, layer: Path) -> Path:
    layout = folder / "layout"
    blobs = images_layout.blobs(layout)
    blobs.mkdir(parents=True)
    with layer.open("rb") as file:
        digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    size = layer.stat().st_size
    layer.rename(blobs / digest.removeprefix("sha256:"))
    config = _write(blobs, json.dumps(_configuration(digest)).encode())
    descriptors = [
        images_manifest.Descriptor(images_manifest.OCI_CONFIG, *config),
        images_manifest.Descriptor(images_manifest.OCI_LAYER, digest, size),
    ]
    manifest = _write(blobs, images_manifest.written(descriptors[0], descriptors[1:]))
    entry = images_manifest.Descriptor(images_manifest.OCI_MANIFEST, *manifest).document()
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    return layout


def _write(blobs: Path, content: bytes) -> tuple[str, int]:
    digest = images_manifest.digest_of(content)
    (blobs / digest.removeprefix("sha256:")).write_bytes(content)
    return digest, len(content)


def _configuration(layer: str) -> dict[str, object]:
    """No entrypoint: an image that builds on this one only says its command."""
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {
        "created": now,
        "architecture": images_manifest.architecture(),
        "os": "linux",
        "config": {"Env": [f"PATH={path}", "LANG=C.UTF-8"], "Cmd": ["sleep", "infinity"], "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [layer]},
        "history": [{"created": now, "created_by": f"mmdebstrap {_suite()} {' '.join(PACKAGES)}"}],
    }


def remembered(store: Store) -> str | None:
    """The digest that this recipe gave before."""
    try:
        known = json.loads((store.root / "builtin.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return str(known["digest"]) if known.get("recipe") == RECIPE else None


def remember(store: Store, digest: str) -> None:
    """Written after the image is there, whole or not at all."""
    partial = store.root / "builtin.json.partial"
    partial.write_text(json.dumps({"digest": digest, "recipe": RECIPE}))
    os.replace(partial, store.root / "builtin.json")  # noqa: PTH105
