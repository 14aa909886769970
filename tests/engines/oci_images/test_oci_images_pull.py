"""Pulling: what arrives, what is shared, and what is said when it cannot work."""

import asyncio
import json
import os
import socket
from pathlib import Path

import pytest
from roost_server.domain import errors
from roost_server.domain.config import RegistryAuth
from roost_server.domain.image import Progress
from roost_server.engines.oci.images.oci_images import ImageSettings, OciImages
from support.registry import Registry
from support.waiting import eventually

from oci_images import making
from oci_images.conftest import USER
from oci_images.host import commands
from oci_images.making import ARCHITECTURE, FOREIGN, Directory, Image, Link

pytestmark = pytest.mark.slow


def quiet(_: Progress) -> None:
    """For callers who do not look."""


def hello(text: bytes = b"hello", **more: object) -> Image:
    return Image([{"etc/": Directory(), "etc/hello": text}], **more)  # type: ignore[arg-type]


async def refused(images: OciImages, name: str, auth: RegistryAuth | None = None) -> errors.RoostError:
    with pytest.raises(errors.RoostError) as caught:
        await images.pull(name, auth, quiet)
    assert str(caught.value).startswith("cannot ")
    return caught.value


async def downloads(registry: Registry, image: Image) -> int:
    """How often its layer was asked for, which the registry writes down when it has given it."""

    async def counted() -> int:
        return await asyncio.to_thread(registry.downloads, image.layer_digest())

    return await eventually(counted)


async def test_an_image_arrives_unpacked_for_the_mapped_users(images: OciImages, registry: Registry) -> None:
    config = {"Entrypoint": ["/agent"], "Env": ["A=b"], "User": "7", "ExposedPorts": {"8080/tcp": {}, "53/udp": {}}}
    digest = making.put(registry, "arrives:v1", Image([{"home/": Directory(0o700, uid=7), "agent": b"x"}], config))

    info = await images.pull(f"{registry.host}/arrives:v1", None, quiet)

    unpacked = images.unpacked(info.digest)
    assert (info.digest, info.architecture) == (digest, ARCHITECTURE)
    assert (info.config.entrypoint, info.config.exposed_ports, info.config.user) == (["/agent"], [8080], "7")
    assert (unpacked.rootfs / "agent").read_bytes() == b"x"
    assert (unpacked.rootfs / "home").stat().st_uid == 231072 + 7
    assert (unpacked.rootfs / "home").stat().st_mode & 0o777 == 0o700
    assert await images.images() == [info]


async def test_progress_is_told_in_bytes(images: OciImages, registry: Registry) -> None:
    making.put(registry, "progress:v1", hello(os.urandom(3 << 20)))
    seen: list[Progress] = []

    await images.pull(f"{registry.host}/progress:v1", None, seen.append)

    assert [progress.step for progress in seen if progress.step == "pulling"]
    assert seen[-1].step == "unpacking"
    assert seen[-1].done_bytes == seen[-1].total_bytes > 3 << 20


async def test_a_password_opens_the_registry(images: OciImages, locked_registry: Registry) -> None:
    digest = making.put(locked_registry, "team/agent:v1", hello())

    info = await images.pull(f"{locked_registry.host}/team/agent:v1", RegistryAuth(*USER), quiet)

    assert info.digest == digest


async def test_wrong_and_missing_passwords_are_told_apart(images: OciImages, locked_registry: Registry) -> None:
    making.put(locked_registry, "team/secret:v1", hello())
    name = f"{locked_registry.host}/team/secret:v1"

    wrong = await refused(images, name, RegistryAuth("maria", "wrong"))
    missing = await refused(images, name)

    assert wrong.reason == missing.reason == "image_unauthorized"
    assert 'credentials of user "maria"' in wrong.message
    assert "wants credentials" in missing.message


async def test_what_the_registry_does_not_have_is_named(images: OciImages, registry: Registry) -> None:
    making.put(registry, "known:v1", hello())

    tag = await refused(images, f"{registry.host}/known:v2")
    name = await refused(images, f"{registry.host}/team/agent:v1")

    assert tag.reason == name.reason == "image_not_found"
    assert name.message == (
        f"cannot pull {registry.host}/team/agent:v1: the registry does not have it; check the name and the tag"
    )


async def test_an_index_gives_this_machines_image_and_no_attestation(images: OciImages, registry: Registry) -> None:
    mine, foreign, attestation = hello(b"mine"), hello(b"other", architecture=FOREIGN), hello(b"signed")
    for image in (mine, foreign, attestation):
        making.put(registry, "many", image)
    about = {"vnd.docker.reference.type": "attestation-manifest"}
    entries = [
        making.entry(attestation, "unknown", "unknown", annotations=about),
        making.entry(foreign, FOREIGN),
        making.entry(mine, ARCHITECTURE),
    ]
    registry.put_manifest("many", making.index(entries), "v1")

    info = await images.pull(f"{registry.host}/many:v1", None, quiet)

    assert info.digest == entries[2]["digest"]
    assert (images.unpacked(info.digest).rootfs / "etc/hello").read_bytes() == b"mine"


async def test_images_for_other_machines_are_refused_before_they_are_fetched(
    images: OciImages, registry: Registry
) -> None:
    image = hello(b"foreign", architecture=FOREIGN)
    making.put(registry, "foreign:single", image)
    registry.put_manifest("foreign", making.index([making.entry(image, FOREIGN)]), "index")

    single = await refused(images, f"{registry.host}/foreign:single")
    index = await refused(images, f"{registry.host}/foreign:index")

    for error in (single, index):
        assert error.reason == "image_architecture"
        assert ARCHITECTURE in error.message and FOREIGN in error.message
    assert registry.downloads(image.layer_digest()) == 0


async def test_a_spoilt_layer_is_never_trusted_and_a_mended_one_works(images: OciImages, registry: Registry) -> None:
    image = hello(os.urandom(100_000))
    making.put(registry, "spoilt:v1", image)
    blob = registry.blob(image.layer_digest())
    whole = blob.read_bytes()
    blob.write_bytes(whole[:5000] + b"\0" * 10 + whole[5010:])

    error = await refused(images, f"{registry.host}/spoilt:v1")
    assert error.reason == "image_corrupt"
    assert await images.images() == []

    blob.write_bytes(whole)
    await images.pull(f"{registry.host}/spoilt:v1", None, quiet)


async def test_a_spoilt_configuration_is_corrupt(images: OciImages, registry: Registry) -> None:
    image = hello(b"config")
    making.put(registry, "spoilt-config:v1", image)
    blob = registry.blob(making.digest_of(image.configuration()))
    blob.write_bytes(blob.read_bytes().replace(b"test", b"tset"))

    assert (await refused(images, f"{registry.host}/spoilt-config:v1")).reason == "image_corrupt"


async def test_a_layer_that_is_not_what_the_configuration_says_is_corrupt(
    images: OciImages, registry: Registry
) -> None:
    making.put(registry, "lies:v1", hello(b"lies", diff_ids=[f"sha256:{'0' * 64}"]))

    assert (await refused(images, f"{registry.host}/lies:v1")).reason == "image_corrupt"
    assert await images.images() == []


async def test_what_is_not_an_image_is_called_by_its_kind(images: OciImages, registry: Registry) -> None:
    manifest = hello(b"chart").manifest()
    manifest["config"]["mediaType"] = "application/vnd.cncf.helm.config.v1+json"
    for blob in hello(b"chart").blobs():
        registry.put_blob("chart", blob)
    registry.put_manifest("chart", manifest, "v1")

    error = await refused(images, f"{registry.host}/chart:v1")

    assert error.reason == "image_invalid"
    assert "helm" in error.message


async def test_a_registry_that_does_not_answer_is_tried_again_later(images: OciImages) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        error = await refused(images, f"localhost:{taken.getsockname()[1]}/agent:v1")

    assert isinstance(error, errors.Unavailable)
    assert error.reason == "registry_unavailable"


async def test_a_full_disk_is_said_so(small_disk: Path, registry: Registry) -> None:
    making.put(registry, "large:v1", hello(os.urandom(8 << 20)))
    making.put(registry, "packed:v1", hello(b"\0" * (8 << 20)))
    images = OciImages(ImageSettings(small_disk))

    arriving = await refused(images, f"{registry.host}/large:v1")
    unpacking = await refused(images, f"{registry.host}/packed:v1")

    assert arriving.reason == unpacking.reason == "disk_full"
    assert isinstance(arriving, errors.Unavailable) and isinstance(unpacking, errors.Unavailable)
    assert not list((small_disk / "images" / "tmp").iterdir())


async def test_a_docker_manifest_keeps_the_registrys_digest(images: OciImages, registry: Registry) -> None:
    digest = making.put(registry, "docker:v1", hello(b"docker", docker=True))

    info = await images.pull(f"{registry.host}/docker@{digest}", None, quiet)

    assert info.digest == digest
    assert (images.unpacked(digest).rootfs / "etc/hello").read_bytes() == b"docker"


async def test_callers_at_once_share_one_pull(images: OciImages, registry: Registry) -> None:
    image = hello(os.urandom(1 << 20))
    making.put(registry, "shared:v1", image)
    making.put(registry, "shared:v2", image)
    names = [f"{registry.host}/shared:{tag}" for tag in ("v1", "v1", "v2", "v1")]

    infos = await asyncio.gather(*(images.pull(name, None, quiet) for name in names))

    assert len({info.digest for info in infos}) == 1
    assert await downloads(registry, image) == 1


async def test_layers_and_files_are_shared_between_images(images: OciImages, registry: Registry) -> None:
    base = {"base": os.urandom(200_000)}
    first, second = Image([base]), Image([base, {"more": b"more"}])
    making.put(registry, "base:v1", first)
    making.put(registry, "above:v1", second)

    below = await images.pull(f"{registry.host}/base:v1", None, quiet)
    above = await images.pull(f"{registry.host}/above:v1", None, quiet)

    assert await downloads(registry, first) == 1
    files = [images.unpacked(info.digest).rootfs / "base" for info in (below, above)]
    assert files[0].stat().st_ino == files[1].stat().st_ino
    assert above.size_bytes > below.size_bytes > 200_000


async def test_upper_layers_hide_and_replace_what_is_below(images: OciImages, registry: Registry) -> None:
    below: making.Files = {
        "keep": b"below", "gone": b"below", "replaced": b"below", "full/": Directory(0o700), "full/old": b"below",
        "turned/": Directory(), "turned/into": b"below", "bin": Link("usr"), "usr/": Directory(0o711),
    }  # fmt: skip
    above: making.Files = {
        ".wh.gone": b"", "replaced": b"above", "full/": Directory(0o750), "full/.wh..wh..opq": b"",
        "full/new": b"above", "turned": b"a file now", "usr/implied": b"above",
        "a": b"linked", "b": Link("a", hard=True), "fresh/": Directory(), "fresh/.wh..wh..opq": b"",
        "fresh/x": b"above",
    }  # fmt: skip
    making.put(registry, "layers:v1", Image([below, above]))

    info = await images.pull(f"{registry.host}/layers:v1", None, quiet)

    rootfs = images.unpacked(info.digest).rootfs
    names = {str(path.relative_to(rootfs)) for path in rootfs.rglob("*")}
    assert names == {
        "keep", "replaced", "full", "full/new", "turned", "bin", "usr", "usr/implied", "a", "b", "fresh", "fresh/x"
    }  # fmt: skip
    assert (rootfs / "replaced").read_bytes() == b"above"
    assert (rootfs / "turned").read_bytes() == b"a file now"
    assert [(rootfs / name).stat().st_mode & 0o777 for name in ("full", "usr")] == [0o750, 0o711]
    assert (rootfs / "a").stat().st_ino == (rootfs / "b").stat().st_ino


async def test_no_layer_reaches_outside(images: OciImages, registry: Registry, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o777)
    outside.chmod(0o777)
    layers: list[making.Files] = [
        {"way": Link(str(outside)), "up": Link("../" * 20 + str(outside).lstrip("/"))},
        {"way/one": b"x", "up/two": b"x", "../" * 20 + str(outside).lstrip("/") + "/three": b"x"},
        {"way/.wh.one": b""},
    ]
    making.put(registry, "escape:v1", Image(layers))

    try:
        await images.pull(f"{registry.host}/escape:v1", None, quiet)
    except errors.Invalid as refusal:
        assert refusal.reason == "image_corrupt"

    assert not list(outside.iterdir())


async def test_hard_links_to_lower_layers_work(images: OciImages, registry: Registry) -> None:
    making.put(registry, "crosslinks:v1", Image([{"one": b"content"}, {"two": Link("one", hard=True)}]))

    info = await images.pull(f"{registry.host}/crosslinks:v1", None, quiet)

    assert (images.unpacked(info.digest).rootfs / "two").read_bytes() == b"content"


async def test_a_pull_that_nobody_waits_for_leaves_nothing_behind(images: OciImages, data_dir: Path) -> None:
    asked = asyncio.Event()

    async def never_answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await asyncio.Event().wait()

    server = await asyncio.start_server(never_answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    pulls = [asyncio.create_task(images.pull(f"localhost:{port}/slow:v1", None, quiet)) for _ in range(2)]
    await asked.wait()
    for pull in pulls:
        pull.cancel()
    await asyncio.gather(*pulls, return_exceptions=True)
    server.close()

    assert not [line for line in commands() if f"localhost:{port}" in line]
    assert not list((data_dir / "images" / "tmp").iterdir())


async def test_what_a_crash_left_half_made_is_not_trusted(data_dir: Path, registry: Registry) -> None:
    digest = making.put(registry, "crashed:v1", hello(b"crashed"))
    half = data_dir / "images" / "unpacked" / digest.removeprefix("sha256:")
    (half / "rootfs").mkdir(parents=True)
    (data_dir / "images" / "tmp" / "old").mkdir(parents=True)
    images = OciImages(ImageSettings(data_dir))
    assert await images.images() == []

    info = await images.pull(f"{registry.host}/crashed:v1", None, quiet)

    assert (images.unpacked(info.digest).rootfs / "etc/hello").read_bytes() == b"crashed"
    assert not list((data_dir / "images" / "tmp").iterdir())
    assert json.loads((half / "image.json").read_text())["digest"] == digest


async def test_another_server_finds_what_this_one_unpacked(
    images: OciImages, data_dir: Path, registry: Registry
) -> None:
    making.put(registry, "kept:v1", hello(b"kept"))
    info = await images.pull(f"{registry.host}/kept:v1", None, quiet)

    again = OciImages(ImageSettings(data_dir))

    assert await again.images() == [info]
    assert again.unpacked(info.digest).config == info.config
    with pytest.raises(errors.Invalid, match="it is not on this machine"):
        again.unpacked(f"sha256:{'0' * 64}")
