"""Engines under test: the simulated one, and the oci engine on a data directory of its own with a tiny image."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from machine import ID_MAP_START, OciSubject, SimulatedSubject, Subject, TinyImages
from roost_server.engines.oci.settings import OciSettings
from roost_server.engines.simulated import SimulatedEngine


@pytest.fixture(scope="session")
def tiny_root() -> Iterator[Path]:
    """A root file system of one static busybox, belonging to the box's root."""
    busybox = shutil.which("busybox")
    if os.geteuid() != 0 or busybox is None:
        pytest.fail("tests of the oci engine need root and the package busybox-static")
    directory = Path(tempfile.mkdtemp(prefix="roost-tiny-"))
    root = directory / "rootfs"
    for name in ("bin", "etc", "proc", "sys", "dev", "tmp", "root", "home/agent"):
        (root / name).mkdir(parents=True)
    shutil.copy(busybox, root / "bin/busybox")
    for applet in subprocess.check_output([busybox, "--list"], text=True).split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nagent:x:1000:1000::/home/agent:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nagent:x:1000:\nextra:x:1234:agent\n")
    (root / "tmp").chmod(0o1777)
    subprocess.run(["chown", "-hR", f"{ID_MAP_START}:{ID_MAP_START}", str(root)], check=True)
    os.chown(root / "home/agent", ID_MAP_START + 1000, ID_MAP_START + 1000)
    yield root
    shutil.rmtree(directory)


@pytest.fixture
def oci_settings() -> Iterator[Callable[..., OciSettings]]:
    """Makes settings with directories of their own. They lie where the box's root can pass."""
    made: list[Path] = []

    def make(**changes: object) -> OciSettings:
        directory = Path(tempfile.mkdtemp(prefix="roost-oci-"))
        directory.chmod(0o755)
        made.append(directory)
        return OciSettings(directory / "data", directory / "run", **changes)  # type: ignore[arg-type]

    yield make
    for directory in made:
        shutil.rmtree(directory)


@pytest.fixture
async def oci(tiny_root: Path, oci_settings: Callable[..., OciSettings]) -> AsyncIterator[OciSubject]:
    """A started oci engine; everything it made is gone afterwards."""
    subject = OciSubject(oci_settings(), TinyImages(tiny_root))
    await subject.engine.start()
    yield subject
    await subject.engine.destroy()


@pytest.fixture(params=["simulated", pytest.param("oci", marks=pytest.mark.slow)])
async def subject(request: pytest.FixtureRequest, oci_settings: Callable[..., OciSettings]) -> AsyncIterator[Subject]:
    """Each engine in turn."""
    if request.param == "simulated":
        yield SimulatedSubject(SimulatedEngine())
        return
    under_test = OciSubject(oci_settings(), TinyImages(request.getfixturevalue("tiny_root")))
    await under_test.engine.start()
    yield under_test
    await under_test.engine.destroy()


@pytest.fixture
def replica_id() -> str:
    return str(uuid4())
