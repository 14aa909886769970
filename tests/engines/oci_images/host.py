"""Looking at the host: what runs, what is mounted."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def commands() -> list[str]:
    """Command lines of all that runs."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_text().replace("\0", " "))
        except OSError:
            continue
    return found


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
