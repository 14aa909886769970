"""A registry for all, and images in a data directory of one's own."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from roost_server.engines.oci.images.oci_images import ImageSettings, OciImages
from support import registry as server
from support.registry import Registry

USER = ("maria", "right horse")


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with server.running(tmp_path_factory.mktemp("registry")) as started:
        yield started


@pytest.fixture(scope="session")
def locked_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with server.running(tmp_path_factory.mktemp("locked"), USER) as started:
        yield started


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """Removed afterwards, since images are large."""
    yield from removed_afterwards(tmp_path / "data")


@pytest.fixture
def other_data_dir(tmp_path: Path) -> Iterator[Path]:
    """Of another machine, as it were."""
    yield from removed_afterwards(tmp_path / "elsewhere")


def removed_afterwards(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    yield folder
    subprocess.run(["rm", "-rf", folder], check=True)


@pytest.fixture
def images(data_dir: Path) -> OciImages:
    return OciImages(ImageSettings(data_dir, keep_recent_seconds=0))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A data directory on a disk of four MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "small", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    return folder
