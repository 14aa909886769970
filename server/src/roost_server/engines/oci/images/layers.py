"""Extract layers into one root directory, in parallel, and verify them. Runs as a program of its own.

Reads a job as JSON on standard input: {"map_start", "target", "layers": [{"path", "diff_id"}]}; merges the layers
in order into <target>/rootfs (which may hold earlier layers already). Says how far it is on standard error
(`progress BYTES`, compressed; at the end `size BYTES`, uncompressed), and at a failure
`corrupt|disk_full|unsupported: DETAIL`.

Each layer is extracted by GNU tar into an empty directory of its own, as a user without rights on the host, and
then moved into the root without ever following a symbolic link: no layer can reach outside, whatever it holds.
Layer semantics (whiteouts, opaque directories) follow the OCI image specification.
"""

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from roost_server.engines.oci.images import merge, userns

CHUNK = 1 << 20
TAR = (
    "tar", "--extract", "--file=-", "--verbose", "--quoting-style=literal", "--numeric-owner", "--same-owner",
    "--same-permissions", "--delay-directory-restore", "--xattrs", "--xattrs-include=user.*",
    "--xattrs-include=security.capability", "--warning=no-timestamp", "--warning=no-unknown-keyword",
    "--anchored", "--exclude=dev/*", "--exclude=./dev/*",
)  # fmt: skip
"""/dev is left out: boxes bring their own, and device nodes cannot be made without rights on the host."""


class Failed(Exception):
    """`kind` is corrupt, disk_full or unsupported."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")


@dataclass(frozen=True)
class Layer:
    number: int
    file: IO[bytes]
    diff_id: str

    @property
    def directory(self) -> str:
        return f"layer{self.number}"


class Progress:
    """Adds up what all extracting threads have read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._done = 0
        self.size = 0

    def add(self, count: int) -> None:
        with self._lock:
            self._done += count
            print(f"progress {self._done}", file=sys.stderr, flush=True)

    def unpacked(self, count: int) -> None:
        with self._lock:
            self.size += count


def main() -> int:
    """Exits 0 when <target>/rootfs is whole."""
    job: dict[str, Any] = json.load(sys.stdin)
    layers = [
        Layer(number, Path(layer["path"]).open("rb"), layer["diff_id"])  # noqa: SIM115 open until the process ends
        for number, layer in enumerate(job["layers"])
    ]
    target, start = job["target"], job["map_start"]
    os.chdir(target)
    os.chown(".", start, start)
    return userns.run(start, lambda: _guarded(layers))


def _guarded(layers: list[Layer]) -> int:
    os.umask(0o022)
    try:
        unpack(layers)
    except Failed as failed:
        print(failed, file=sys.stderr, flush=True)
        return 1
    except OSError as error:
        print(f"{'disk_full' if error.errno == errno.ENOSPC else 'unsupported'}: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


def unpack(layers: list[Layer]) -> None:
    """Extract all into the current directory, merging each into `rootfs` as soon as those below it are."""
    Path("rootfs").mkdir(mode=0o755, exist_ok=True)
    progress = Progress()
    with ThreadPoolExecutor(max(1, min(4, os.cpu_count() or 1))) as pool:
        listings = [pool.submit(extract, layer, progress) for layer in layers]
        for layer, listing in zip(layers, listings, strict=True):
            merge.Merge(listing.result()).root(layer.directory, "rootfs")
            shutil.rmtree(layer.directory)
    print(f"size {progress.size}", file=sys.stderr, flush=True)


def extract(layer: Layer, progress: Progress) -> list[str]:
    """Extract one layer into its own directory; the names of its members. Raises `Failed`."""
    Path(layer.directory).mkdir(mode=0o755)
    with Path(f"{layer.directory}.names").open("w+b") as names, Path(f"{layer.directory}.errors").open("w+b") as said:
        tar = subprocess.Popen(
            [*TAR, f"--directory={layer.directory}"], stdin=subprocess.PIPE, stdout=names, stderr=said
        )
        try:
            digest = _feed(layer, tar, progress)
        finally:
            code = tar.wait()
        _check(layer, digest, code, _content(said))
        return os.fsdecode(_content(names)).split("\n")


def _content(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def _feed(layer: Layer, tar: "subprocess.Popen[bytes]", progress: Progress) -> str:
    """Decompress into tar; the digest of what came out, also of what tar no longer wanted."""
    assert tar.stdin is not None
    digest, wanted = hashlib.sha256(), True
    try:
        for chunk in decompressed(layer.file, progress):
            digest.update(chunk)
            progress.unpacked(len(chunk))
            wanted = wanted and _write(tar.stdin, chunk)
    finally:
        _close(tar.stdin)
    return f"sha256:{digest.hexdigest()}"


def _write(pipe: IO[bytes], chunk: bytes) -> bool:
    try:
        pipe.write(chunk)
    except BrokenPipeError:
        return False
    return True


def _close(pipe: IO[bytes]) -> None:
    try:
        pipe.close()
    except BrokenPipeError:
        return


def _check(layer: Layer, digest: str, code: int, said: bytes) -> None:
    text = said.decode(errors="replace")
    if "No space left on device" in text or "Disk quota exceeded" in text:
        raise Failed("disk_full", text.splitlines()[0])
    if digest != layer.diff_id:
        raise Failed("corrupt", f"a layer's content is {digest}, the image says {layer.diff_id}")
    if code != 0:
        raise Failed("unsupported", " / ".join(text.splitlines()[:3]))


def decompressed(file: IO[bytes], progress: Progress) -> Iterator[bytes]:
    """The layer's tar, whatever its compression, told by its first bytes."""
    magic = file.peek(4)[:4] if hasattr(file, "peek") else b""
    if magic[:2] == b"\x1f\x8b":
        yield from _gunzip(file, progress)
    elif magic == b"\x28\xb5\x2f\xfd":
        yield from _unzstd(file, progress)
    else:
        yield from _chunks(file, progress)


def _chunks(file: IO[bytes], progress: Progress) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        progress.add(len(chunk))
        yield chunk


def _gunzip(file: IO[bytes], progress: Progress) -> Iterator[bytes]:
    stream = None
    for chunk in _chunks(file, progress):
        data = chunk
        while data:
            stream = stream or zlib.decompressobj(31)
            yield _inflate(stream, data)
            if not stream.eof:
                break
            data, stream = stream.unused_data.lstrip(b"\0"), None
    if stream:
        raise Failed("corrupt", "a compressed layer ends too early")


def _inflate(stream: Any, data: bytes) -> bytes:
    try:
        inflated: bytes = stream.decompress(data)
    except zlib.error as error:
        raise Failed("corrupt", f"a compressed layer cannot be read: {error}") from error
    return inflated


def _unzstd(file: IO[bytes], progress: Progress) -> Iterator[bytes]:
    if not shutil.which("zstd"):
        raise Failed("unsupported", "a layer is compressed with zstd; install the package zstd")
    zstd = subprocess.Popen(["zstd", "-dcq"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert zstd.stdin is not None and zstd.stdout is not None
    feeder = threading.Thread(target=_pump, args=(file, zstd.stdin, progress))
    feeder.start()
    while chunk := zstd.stdout.read(CHUNK):
        yield chunk
    feeder.join()
    if zstd.wait() != 0:
        raise Failed("corrupt", "a layer compressed with zstd cannot be read")


def _pump(file: IO[bytes], pipe: IO[bytes], progress: Progress) -> None:
    for chunk in _chunks(file, progress):
        if not _write(pipe, chunk):
            break
    _close(pipe)


if __name__ == "__main__":
    sys.exit(main())
