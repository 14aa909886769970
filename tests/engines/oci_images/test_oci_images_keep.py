"""What is removed and what never is."""

import asyncio
import json
import os
from pathlib import Path

import pytest
from roost_server.domain import errors
from roost_server.domain.image import ImageInfo, Progress
from roost_server.engines.oci.images.oci_images import ImageSettings, OciImages
from support.registry import Registry

from oci_images import making
from oci_images.host import mounted
from oci_images.making import Image

pytestmark = pytest.mark.slow

SIZE = 300_000


def quiet(_: Progress) -> None:
    """For callers who do not look."""


async def pulled(images: OciImages, registry: Registry, name: str, *layers: making.Files) -> ImageInfo:
    making.put(registry, f"{name}:v1", Image(list(layers)))
    return await images.pull(f"{registry.host}/{name}:v1", None, quiet)


def blobs(data_dir: Path) -> set[str]:
    return {path.name for path in (data_dir / "images" / "blobs" / "sha256").iterdir()}


async def test_images_nobody_names_go_with_all_that_only_they_needed(
    images: OciImages, registry: Registry, data_dir: Path
) -> None:
    common: making.Files = {"common": os.urandom(SIZE)}
    kept = await pulled(images, registry, "kept", common)
    needed = blobs(data_dir)
    await pulled(images, registry, "gone", common, {"own": os.urandom(SIZE)})

    freed = await images.keep_only([kept.digest])

    assert await images.images() == [kept]
    assert blobs(data_dir) == needed
    assert 2 * SIZE < freed < 3 * SIZE
    assert (images.unpacked(kept.digest).rootfs / "common").stat().st_size == SIZE
    assert await images.keep_only([kept.digest]) == 0


async def test_a_removed_image_can_be_pulled_again(images: OciImages, registry: Registry) -> None:
    info = await pulled(images, registry, "again", {"a": b"1"})
    await images.keep_only([])
    with pytest.raises(errors.Invalid):
        images.unpacked(info.digest)

    assert (await pulled(images, registry, "again", {"a": b"1"})).digest == info.digest
    assert images.unpacked(info.digest).rootfs.is_dir()


async def test_an_image_that_a_box_names_stays(images: OciImages, registry: Registry, data_dir: Path) -> None:
    info = await pulled(images, registry, "boxed", {"a": b"2"})
    box = data_dir / "boxes" / "some-replica"
    box.mkdir(parents=True)
    (box / "box.json").write_text(json.dumps({"id": "some-replica", "image_digest": info.digest}))

    await images.keep_only([])

    assert await images.images() == [info]


async def test_an_image_that_is_mounted_stays(images: OciImages, registry: Registry, tmp_path: Path) -> None:
    info = await pulled(images, registry, "mounted", {"a": b"3"})

    with mounted(images.unpacked(info.digest).rootfs, tmp_path):
        await images.keep_only([])

    assert await images.images() == [info]


async def test_pulls_under_way_lose_nothing(images: OciImages, registry: Registry) -> None:
    made = [Image([{"shared": os.urandom(SIZE)}, {"own": str(number).encode()}]) for number in range(4)]
    for number, image in enumerate(made):
        making.put(registry, f"busy:{number}", image)
    pulls = [asyncio.create_task(images.pull(f"{registry.host}/busy:{number}", None, quiet)) for number in range(4)]

    while not all(pull.done() for pull in pulls):
        await images.keep_only([])
        await asyncio.sleep(0)

    for pull in pulls:
        (await pull).digest.startswith("sha256:")


async def test_an_image_just_handed_out_stays_a_while(data_dir: Path, registry: Registry) -> None:
    images = OciImages(ImageSettings(data_dir, keep_recent_seconds=60))
    info = await pulled(images, registry, "fresh", {"a": b"4"})

    await images.keep_only([])

    assert await images.images() == [info]
