"""Looking at the host: what runs, what is mounted."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def commands() -> list[str]:
    """Command lines of all that runs."""
    return [text.replace("\0", " ") for text in _of_each("cmdline")]


def names() -> set[str]:
    """Names of all that runs or is about to end."""
    return {text.strip() for text in _of_each("comm")}


def _of_each(file: str) -> Iterator[str]:
    for path in Path("/proc").glob(f"[0-9]*/{file}"):
        with suppress(OSError):
            yield path.read_text(errors="replace")


def mounts() -> list[str]:
    """What is mounted here."""
    return Path("/proc/self/mountinfo").read_text().splitlines()


@contextmanager
def mounted(lower: Path, folder: Path) -> Iterator[None]:
    """`lower` below an overlay, as a box has it."""
    for name in ("upper", "work", "merged"):
        (folder / name).mkdir()
    options = f"lowerdir={lower},upperdir={folder}/upper,workdir={folder}/work"
    subprocess.run(["mount", "-t", "overlay", "-o", options, "test", folder / "merged"], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder / "merged"], check=True)
