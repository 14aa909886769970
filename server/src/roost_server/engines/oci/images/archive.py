"""Archives that callers send: oci-archive and docker-archive (`docker save`), compressed or not, told by content."""

import asyncio
import json
import re
import shutil
import tarfile
from pathlib import Path

from roost_server.domain.image import Progress
from roost_server.engines.engine import OnProgress
from roost_server.engines.oci.images import failures, manifest, process, registry

DECOMPRESSORS = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"\xfd7zXZ", "xz"), (b"BZh", "bzip2"))
_BLOB = re.compile(r"(?:\./)?(blobs/sha256/[0-9a-f]{64}|index\.json|oci-layout)")


async def unfold(archive: Path, folder: Path, progress: OnProgress) -> Path:
    """Turn an archive into an OCI layout under `folder`. Raises `Invalid` when it is not one that holds one image."""
    what = f"the archive {archive.name}"
    total = await asyncio.to_thread(_size, archive, what)
    progress(Progress("loading", 0, total))
    plain = await _decompressed(archive, folder, what)
    names = await asyncio.to_thread(_names, plain, what)
    layout = folder / "layout"
    if {"index.json", "oci-layout"} <= names:
        await asyncio.to_thread(_extract, plain, layout, what)
    elif "manifest.json" in names:
        await _convert(plain, layout, folder, what)
    else:
        raise manifest.invalid(what, "it is neither an oci-archive nor a docker-archive")
    progress(Progress("loading", total, total))
    return layout


def _size(archive: Path, what: str) -> int:
    if not archive.is_file():
        raise manifest.invalid(what, "there is no such file")
    return archive.stat().st_size


async def _decompressed(archive: Path, folder: Path, what: str) -> Path:
    program = await asyncio.to_thread(_decompressor, archive)
    if not program:
        return archive
    plain = folder / "archive.tar"
    with plain.open("wb") as file:
        finished = await process.run([program, "-dc", str(archive)], stdout=file.fileno())
    if failures.is_full(finished.stderr):
        raise failures.disk_full(f"load {archive.name}", finished.stderr)
    if finished.code != 0:
        raise manifest.corrupt(what, f"{program} cannot decompress it")
    return plain


def _decompressor(archive: Path) -> str | None:
    with archive.open("rb") as file:
        magic = file.read(8)
    return next((program for begin, program in DECOMPRESSORS if magic.startswith(begin)), None)


def _names(plain: Path, what: str) -> set[str]:
    try:
        with tarfile.open(plain, "r:") as tar:
            return {name.removeprefix("./") for name in tar.getnames()}
    except (tarfile.TarError, EOFError) as error:
        raise manifest.invalid(what, "it is not a tar archive") from error


def _extract(plain: Path, layout: Path, what: str) -> None:
    """Only regular files with the names a layout has; whatever else an archive holds stays in it."""
    (layout / "blobs" / "sha256").mkdir(parents=True)
    with tarfile.open(plain, "r:") as tar:
        for member in tar:
            matched = _BLOB.fullmatch(member.name)
            content = tar.extractfile(member) if matched and member.isreg() else None
            if matched and content:
                with (layout / matched[1]).open("wb") as file:
                    shutil.copyfileobj(content, file, 1 << 20)


async def _convert(plain: Path, layout: Path, folder: Path, what: str) -> None:
    names = await asyncio.to_thread(_docker_names, plain, what)
    if len(names) > 1:
        raise manifest.invalid(what, f"it holds {len(names)} images ({', '.join(names)}); save one at a time")
    finished = await process.run(
        [*registry.SKOPEO, "copy", "--quiet", "--dest-oci-accept-uncompressed-layers", f"docker-archive:{plain}",
         f"oci:{layout}:x"],
        env={"TMPDIR": str(folder)},
    )  # fmt: skip
    if finished.code == 0:
        return
    if failures.is_full(finished.stderr):
        raise failures.disk_full(f"load {what}", finished.stderr)
    raise manifest.corrupt(what, failures.last_words(finished.stderr))


def _docker_names(plain: Path, what: str) -> list[str]:
    with tarfile.open(plain, "r:") as tar:
        member = next(member for member in tar if member.name.removeprefix("./") == "manifest.json")
        content = tar.extractfile(member)
        try:
            entries = json.load(content) if content else []
            return [", ".join(entry.get("RepoTags") or ["(no name)"]) for entry in entries]
        except (ValueError, TypeError, AttributeError) as error:
            raise manifest.invalid(what, "its manifest.json cannot be read") from error
