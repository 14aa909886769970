"""The root file system both sides run: Roost's builtin image, handed to Docker as a tarball."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def tarball(source: Path) -> Iterator[Iterator[bytes]]:
    """The bytes of a tar file, or of a directory made into one. Owners are shifted back to 0 as a whole."""
    if source.is_file():
        with source.open("rb") as file:
            yield iter(lambda: file.read(1 << 20), b"")
        return
    command = ["tar", "-C", str(source), "--owner=0", "--group=0", "--numeric-owner", "-cf", "-", "."]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as packing:
        assert packing.stdout
        yield iter(lambda: packing.stdout.read(1 << 20), b"")  # type: ignore[union-attr]


def builtin(data_dir: Path) -> Path:
    """Where this installation keeps its builtin image unpacked. Raises RuntimeError when it has none there."""
    try:
        digest: str = json.loads((data_dir / "images/builtin.json").read_text())["digest"]
    except FileNotFoundError:
        raise RuntimeError(f"cannot find the builtin image in {data_dir}: set ROOST_DATA_DIR or use --rootfs") from None
    return data_dir / "images/unpacked" / digest.removeprefix("sha256:") / "rootfs"
