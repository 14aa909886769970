"""`builtin:runtime`: made once, useful inside, and built upon."""

import asyncio
import subprocess
from pathlib import Path

import pytest
from roost_server.domain.image import ImageInfo, Progress
from roost_server.engines.oci.images.oci_images import ImageSettings, OciImages
from support import builtin

pytestmark = pytest.mark.slow


@pytest.fixture
async def made(images: OciImages, data_dir: Path) -> ImageInfo:
    await asyncio.to_thread(builtin.give, data_dir)
    return await images.make_builtin(lambda _: None)


async def inside(images: OciImages, info: ImageInfo, *command: str) -> str:
    rootfs = str(images.unpacked(info.digest).rootfs)
    done = await asyncio.to_thread(
        subprocess.run, ["chroot", rootfs, *command], capture_output=True, text=True, check=True
    )
    return done.stdout


async def test_it_is_made_once(images: OciImages, made: ImageInfo, data_dir: Path) -> None:
    seen: list[Progress] = []

    again = await OciImages(ImageSettings(data_dir)).make_builtin(seen.append)

    assert (again, seen) == (made, [])


async def test_it_sleeps_until_told_otherwise(made: ImageInfo) -> None:
    assert (made.config.entrypoint, made.config.cmd) == ([], ["sleep", "infinity"])


async def test_it_is_useful_inside(images: OciImages, made: ImageInfo) -> None:
    assert (await inside(images, made, "python3", "-c", "import venv, ssl; print('ready')")) == "ready\n"
    assert (await inside(images, made, "pip", "--version")).startswith("pip ")
    assert (await inside(images, made, "curl", "--version")).startswith("curl ")
    assert await inside(images, made, "ls", "/etc/apt/sources.list.d", "/etc/apt/sources.list")


async def test_keep_only_leaves_it(images: OciImages, made: ImageInfo) -> None:
    await images.keep_only([])

    assert await images.images() == [made]


async def test_an_agent_builds_on_it_with_packages_from_the_network(
    images: OciImages, made: ImageInfo, context: Path
) -> None:
    (context / "Dockerfile").write_text('FROM builtin:runtime\nRUN pip install six\nCMD ["python3", "-V"]\n')

    info = await images.build(context, "Dockerfile", {}, {"builtin:runtime": made.digest}, lambda _: None)

    assert await inside(images, info, "python3", "-c", "import six; print('found')") == "found\n"
    assert not any("CERT" in variable for variable in info.config.env)
