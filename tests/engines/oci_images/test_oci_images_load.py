"""Archives of both kinds, compressed or not, and what is said of those that cannot be used."""

import gzip
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from roost_server.domain import errors
from roost_server.domain.image import Progress
from roost_server.engines.oci.images.oci_images import OciImages

from oci_images import making
from oci_images.making import FOREIGN, Image

pytestmark = pytest.mark.slow


def quiet(_: Progress) -> None:
    """For callers who do not look."""


def layout(folder: Path, *named: tuple[str, Image]) -> Path:
    """An OCI layout that holds images under names."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    entries = []
    for name, image in named:
        manifest = making.encoded(image.manifest())
        for content in (*image.blobs(), manifest):
            (blobs / making.digest_of(content).removeprefix("sha256:")).write_bytes(content)
        annotations = {"org.opencontainers.image.ref.name": name}
        entries.append(making.entry(image, image.architecture, annotations=annotations))
    (folder / "index.json").write_bytes(making.encoded(making.index(entries)))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return folder


def packed(folder: Path) -> Path:
    archive = folder.with_suffix(".tar")
    with tarfile.open(archive, "w") as tar:
        tar.add(folder, ".")
    return archive


def copied(source: str, target: str) -> None:
    subprocess.run(["skopeo", "copy", "--quiet", "--insecure-policy", source, target], check=True)


def plain(archive: Path) -> Path:
    return archive


def gzipped(archive: Path) -> Path:
    archive.with_suffix(".tgz").write_bytes(gzip.compress(archive.read_bytes()))
    return archive.with_suffix(".tgz")


def zstandard(archive: Path) -> Path:
    subprocess.run(["zstd", "--quiet", archive], check=True)
    return Path(f"{archive}.zst")


@pytest.mark.parametrize("compressed", [plain, gzipped, zstandard])
async def test_an_oci_archive_is_loaded(images: OciImages, tmp_path: Path, compressed: Callable[[Path], Path]) -> None:
    image = Image([{"hello": b"world"}], {"Cmd": ["/hello"]})
    archive = packed(layout(tmp_path / "saved", ("hello:v1", image)))

    info = await images.load(compressed(archive), quiet)

    assert info.digest == making.digest_of(making.encoded(image.manifest()))
    assert info.config.cmd == ["/hello"]
    assert (images.unpacked(info.digest).rootfs / "hello").read_bytes() == b"world"


@pytest.mark.parametrize("compressed", [plain, gzipped])
async def test_a_docker_archive_is_loaded(
    images: OciImages, tmp_path: Path, compressed: Callable[[Path], Path]
) -> None:
    source = layout(tmp_path / "saved", ("x", Image([{"hello": b"docker"}])))
    archive = tmp_path / "docker.tar"
    copied(f"oci:{source}:x", f"docker-archive:{archive}:hello:v1")

    info = await images.load(compressed(archive), quiet)

    assert (images.unpacked(info.digest).rootfs / "hello").read_bytes() == b"docker"


async def test_docker_media_types_in_a_layout_are_understood(images: OciImages, tmp_path: Path) -> None:
    archive = packed(layout(tmp_path / "saved", ("x", Image([{"hello": b"docker"}], docker=True))))

    info = await images.load(archive, quiet)

    assert (images.unpacked(info.digest).rootfs / "hello").read_bytes() == b"docker"


async def test_an_archive_of_several_images_names_them(images: OciImages, tmp_path: Path) -> None:
    several = layout(tmp_path / "saved", ("one:v1", Image([{"a": b"1"}])), ("two:v1", Image([{"a": b"2"}])))

    with pytest.raises(errors.Invalid, match=r"holds 2 images \(one:v1, two:v1\); save one at a time") as caught:
        await images.load(packed(several), quiet)

    assert caught.value.reason == "image_invalid"


async def test_a_loaded_image_for_another_machine_is_refused(images: OciImages, tmp_path: Path) -> None:
    foreign = Image([{"a": b"1"}], architecture=FOREIGN)

    with pytest.raises(errors.Invalid, match=FOREIGN) as caught:
        await images.load(packed(layout(tmp_path / "saved", ("x", foreign))), quiet)

    assert caught.value.reason == "image_architecture"


async def test_what_is_no_archive_is_said_so(images: OciImages, tmp_path: Path) -> None:
    text, other, cut = tmp_path / "text.tar", tmp_path / "other", tmp_path / "cut.tgz"
    text.write_text("hello")
    other.mkdir()
    (other / "readme").write_text("hello")
    cut.write_bytes(gzip.compress(os.urandom(1000))[:500])

    reasons = []
    for archive in (text, packed(other), cut, tmp_path / "missing.tar"):
        with pytest.raises(errors.Invalid, match=f"cannot use the archive {archive.name}") as caught:
            await images.load(archive, quiet)
        reasons.append(caught.value.reason)

    assert reasons == ["image_invalid", "image_invalid", "image_corrupt", "image_invalid"]


async def test_blobs_are_checked_against_their_names(images: OciImages, data_dir: Path, tmp_path: Path) -> None:
    """Or an archive could plant its own content under the digest of somebody else's layer."""
    image = Image([{"hello": b"honest"}])
    folder = layout(tmp_path / "saved", ("x", image))
    blob = folder / "blobs" / "sha256" / image.layer_digest().removeprefix("sha256:")
    blob.write_bytes(b"planted")

    with pytest.raises(errors.Invalid) as caught:
        await images.load(packed(folder), quiet)

    assert caught.value.reason == "image_corrupt"
    assert not (data_dir / "images" / "blobs" / "sha256" / blob.name).exists()


async def test_an_archive_missing_a_blob_is_corrupt(images: OciImages, tmp_path: Path) -> None:
    image = Image([{"hello": b"honest"}])
    folder = layout(tmp_path / "saved", ("x", image))
    (folder / "blobs" / "sha256" / image.layer_digest().removeprefix("sha256:")).unlink()

    with pytest.raises(errors.Invalid, match="is missing") as caught:
        await images.load(packed(folder), quiet)

    assert caught.value.reason == "image_corrupt"
