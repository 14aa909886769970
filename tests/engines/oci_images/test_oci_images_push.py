"""Pushing: what was built here runs elsewhere."""

from pathlib import Path

import pytest
from roost_server.domain import errors
from roost_server.domain.config import RegistryAuth
from roost_server.domain.image import ImageInfo, Progress
from roost_server.engines.oci.images.oci_images import ImageSettings, OciImages
from support.registry import Registry

from oci_images import making
from oci_images.conftest import USER
from oci_images.making import Image

pytestmark = pytest.mark.slow


def quiet(_: Progress) -> None:
    """For callers who do not look."""


async def pulled(images: OciImages, registry: Registry, content: bytes) -> ImageInfo:
    making.put(registry, "pushed:v1", Image([{"hello": content}]))
    return await images.pull(f"{registry.host}/pushed:v1", None, quiet)


async def test_a_pushed_image_is_pulled_elsewhere(
    images: OciImages, registry: Registry, locked_registry: Registry, other_data_dir: Path
) -> None:
    info = await pulled(images, registry, b"travels")
    there = f"{locked_registry.host}/team/travels:v1"
    seen: list[Progress] = []

    await images.push(info.digest, there, RegistryAuth(*USER), seen.append)

    assert seen[0].step == "pushing"
    elsewhere = OciImages(ImageSettings(other_data_dir))
    arrived = await elsewhere.pull(there, RegistryAuth(*USER), quiet)
    assert arrived.digest == info.digest
    assert (elsewhere.unpacked(arrived.digest).rootfs / "hello").read_bytes() == b"travels"


async def test_pushing_needs_the_right_password(
    images: OciImages, registry: Registry, locked_registry: Registry
) -> None:
    info = await pulled(images, registry, b"stays")

    for auth in (None, RegistryAuth("maria", "wrong")):
        with pytest.raises(errors.Invalid, match=r"cannot push localhost:\d+/team/stays:v1") as caught:
            await images.push(info.digest, f"{locked_registry.host}/team/stays:v1", auth, quiet)
        assert caught.value.reason == "image_unauthorized"


async def test_only_images_of_this_machine_are_pushed(images: OciImages, registry: Registry) -> None:
    with pytest.raises(errors.Invalid) as caught:
        await images.push(f"sha256:{'0' * 64}", f"{registry.host}/nothing:v1", None, quiet)

    assert caught.value.reason == "image_not_found"
