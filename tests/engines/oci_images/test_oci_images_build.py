"""Dockerfiles: what builds, what builds on what, and what is said when a step fails."""

import asyncio
from pathlib import Path

import pytest
from roost_server.domain import errors
from roost_server.domain.image import ImageInfo, Progress
from roost_server.engines.oci.images.oci_images import ImageSettings, OciImages
from support.registry import Registry

from oci_images import making
from oci_images.host import commands, mounts

pytestmark = pytest.mark.slow


def quiet(_: Progress) -> None:
    """For callers who do not look."""


@pytest.fixture
async def busybox(images: OciImages, registry: Registry) -> ImageInfo:
    """A tiny system with a shell, on this machine."""
    making.put(registry, "busybox:v1", making.busybox())
    return await images.pull(f"{registry.host}/busybox:v1", None, quiet)


async def built(images: OciImages, context: Path, base: ImageInfo, *lines: str, **args: str) -> tuple[ImageInfo, str]:
    """Build `FROM tiny` and these lines; the image and all that was printed."""
    (context / "Dockerfile").write_text("\n".join(["FROM tiny", *lines]) + "\n")
    said: list[str] = []
    info = await images.build(context, "Dockerfile", args, {"tiny": base.digest}, said.append)
    return info, "\n".join(said)


async def test_a_dockerfile_builds_on_a_local_image(images: OciImages, busybox: ImageInfo, context: Path) -> None:
    (context / "app").mkdir()
    (context / "app" / "main").write_text("print")
    (context / "app" / "main").chmod(0o600)

    info, said = await built(
        images,
        context,
        busybox,
        "COPY app /app",
        "RUN echo made > /made && id -u",
        "ENV MODE=production",
        "EXPOSE 8080",
        "USER 1000",
        'CMD ["/app/main"]',
    )

    rootfs = images.unpacked(info.digest).rootfs
    assert (rootfs / "made").read_text() == "made\n"
    assert (rootfs / "app" / "main").stat().st_uid == 231072
    assert (rootfs / "app" / "main").stat().st_mode & 0o777 == 0o600
    assert (info.config.cmd, info.config.user, info.config.exposed_ports) == (["/app/main"], "1000", [8080])
    assert info.config.env == ["PATH=/bin", "MODE=production"]
    assert "STEP 2/7: COPY app /app" in said and "\n0\n" in said


async def test_a_built_image_shares_its_bases_files(images: OciImages, busybox: ImageInfo, context: Path) -> None:
    info, _ = await built(images, context, busybox, "RUN echo more > /more")

    files = [images.unpacked(digest).rootfs / "bin/busybox" for digest in (busybox.digest, info.digest)]
    assert files[0].stat().st_ino == files[1].stat().st_ino


async def test_what_was_built_can_be_built_upon(images: OciImages, busybox: ImageInfo, context: Path) -> None:
    first, _ = await built(images, context, busybox, "RUN echo one > /one && mkdir -p /data && echo x > /data/x")

    second, _ = await built(images, context, first, "RUN echo two >> /one && rm -r /data")

    rootfs = images.unpacked(second.digest).rootfs
    assert (rootfs / "one").read_text() == "one\ntwo\n"
    assert not (rootfs / "data").exists()
    assert (images.unpacked(first.digest).rootfs / "data" / "x").exists()


async def test_the_root_of_a_step_is_nobody_on_the_host(images: OciImages, busybox: ImageInfo, context: Path) -> None:
    _, said = await built(images, context, busybox, "RUN cat /proc/self/uid_map && ls /proc | echo processes: *")

    assert "231072      65536" in said


async def test_the_operators_own_folders_do_not_matter(
    images: OciImages, busybox: ImageInfo, context: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "closed"))
    await built(images, context, busybox, "RUN true")


async def test_certificates_are_there_for_steps_and_not_in_the_image(
    images: OciImages, busybox: ImageInfo, context: Path
) -> None:
    info, said = await built(images, context, busybox, "RUN env && test -s $SSL_CERT_FILE && echo trusted", "RUN ls /")

    rootfs = images.unpacked(info.digest).rootfs
    assert "PIP_CERT=/dev/roost-ca.crt" in said and "trusted" in said
    assert info.config.env == ["PATH=/bin"]
    assert not list((rootfs / "dev").iterdir())


async def test_an_image_may_have_its_own_certificates(images: OciImages, busybox: ImageInfo, context: Path) -> None:
    _, said = await built(images, context, busybox, "ENV SSL_CERT_FILE=/mine", "RUN echo uses $SSL_CERT_FILE")

    assert "\nuses /mine" in said


async def test_build_arguments_choose(images: OciImages, busybox: ImageInfo, context: Path) -> None:
    (context / "Dockerfile").write_text("ARG BASE=nothing\nFROM ${BASE}:v2 AS one\nARG WHO\nRUN echo I am $WHO\n")
    said: list[str] = []

    await images.build(
        context, "Dockerfile", {"BASE": "tiny", "WHO": "Maria"}, {"tiny:v2": busybox.digest}, said.append
    )

    assert any("I am Maria" in line for line in said)


async def test_names_from_earlier_stages_and_registries_work(
    images: OciImages, busybox: ImageInfo, context: Path, registry: Registry
) -> None:
    making.put(registry, "from/registry:v1", making.busybox())
    (context / "Dockerfile").write_text(
        f"FROM {registry.host}/from/registry:v1 AS tools\nRUN echo tool > /tool\n"
        "FROM tiny\nCOPY --from=tools /tool /tool\nCOPY --from=tiny /etc/passwd /copied\n"
    )

    info = await images.build(context, "Dockerfile", {}, {"tiny:latest": busybox.digest}, lambda _: None)

    rootfs = images.unpacked(info.digest).rootfs
    assert (rootfs / "tool").read_text() == "tool\n"
    assert (rootfs / "copied").read_text().startswith("root:")


async def failing(images: OciImages, context: Path, dockerfile: str = "Dockerfile") -> errors.RoostError:
    with pytest.raises(errors.RoostError) as caught:
        await images.build(context, dockerfile, {}, {}, lambda _: None)
    assert caught.value.message.startswith("cannot build the image")
    return caught.value


async def test_a_failing_step_ends_the_build_with_its_last_words(
    images: OciImages, busybox: ImageInfo, context: Path, data_dir: Path
) -> None:
    with pytest.raises(errors.Invalid) as caught:
        await built(images, context, busybox, "RUN echo before; echo to nowhere >&2; exit 7")

    assert caught.value.reason == "image_build_failed"
    assert "to nowhere" in caught.value.message and "exit status 7" in caught.value.message
    assert not list((data_dir / "images" / "tmp").iterdir())
    await built(images, context, busybox, "RUN echo works again")


async def test_unusable_dockerfiles_are_said_so(images: OciImages, context: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("FROM scratch\n")
    (context / "link").symlink_to(tmp_path / "outside")
    (context / "bad").write_text("FROM scratch\nNONSENSE here\n")
    (context / "empty").write_text("")

    missing = await failing(images, context)
    escapes = [await failing(images, context, name) for name in ("../outside", "link", "/etc/passwd")]
    bad = [await failing(images, context, name) for name in ("bad", "empty")]
    nowhere = await failing(images, tmp_path / "nowhere")

    assert 'has no file "Dockerfile"' in missing.message
    assert all("outside the context" in error.message for error in escapes)
    assert "NONSENSE" in bad[0].message
    assert "not a directory" in nowhere.message
    assert {error.reason for error in (missing, *escapes, *bad, nowhere)} == {"image_build_failed"}


async def test_a_base_that_is_nowhere_is_named(images: OciImages, context: Path, registry: Registry) -> None:
    (context / "Dockerfile").write_text(f"FROM {registry.host}/no/such:v1\n")

    error = await failing(images, context)

    assert error.reason == "image_build_failed"
    assert "no/such" in error.message


async def test_a_copy_cannot_leave_the_context(
    images: OciImages, busybox: ImageInfo, context: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("secret")
    (context / "way").symlink_to(tmp_path)

    with pytest.raises(errors.Invalid):
        await built(images, context, busybox, "COPY way/secret /secret")
    with pytest.raises(errors.Invalid):
        await built(images, context, busybox, "COPY ../secret /secret")


async def test_builds_at_once_do_not_disturb_each_other(images: OciImages, busybox: ImageInfo, tmp_path: Path) -> None:
    contexts = [tmp_path / name for name in ("one", "two", "three")]
    for folder in contexts:
        folder.mkdir()

    results = await asyncio.gather(
        *(built(images, folder, busybox, f"RUN echo {folder.name} > /who") for folder in contexts)
    )

    made = [(images.unpacked(info.digest).rootfs / "who").read_text() for info, _ in results]
    assert made == ["one\n", "two\n", "three\n"]


async def test_a_cancelled_build_ends_all_that_it_started(
    images: OciImages, busybox: ImageInfo, context: Path, data_dir: Path
) -> None:
    (context / "Dockerfile").write_text("FROM tiny\nRUN echo begun; while true; do echo 71423 > /dev/null; done\n")
    begun = asyncio.Event()

    def hear(line: str) -> None:
        if line == "begun":
            begun.set()

    build = asyncio.create_task(images.build(context, "Dockerfile", {}, {"tiny": busybox.digest}, hear))
    await asyncio.wait([build, asyncio.create_task(begun.wait())], return_when=asyncio.FIRST_COMPLETED)
    assert build.cancel()
    await asyncio.gather(build, return_exceptions=True)

    assert not [line for line in commands() if "echo 71423" in line]
    assert not [line for line in mounts() if str(data_dir) in line]
    await built(images, context, busybox, "RUN echo works again")


async def test_a_full_disk_is_said_so(small_disk: Path, context: Path) -> None:
    (context / "large").write_bytes(bytes(range(256)) * 32_000)
    (context / "Dockerfile").write_text("FROM scratch\nCOPY large /large\n")

    error = await failing(OciImages(ImageSettings(small_disk)), context)

    assert error.reason == "disk_full"


async def test_a_build_is_pushed_and_pulled_back(
    images: OciImages, busybox: ImageInfo, context: Path, registry: Registry, other_data_dir: Path
) -> None:
    info, _ = await built(images, context, busybox, "RUN echo travels > /hello")
    name = f"{registry.host}/built/travels:v1"

    await images.push(info.digest, name, None, quiet)

    elsewhere = OciImages(ImageSettings(other_data_dir))
    arrived = await elsewhere.pull(name, None, quiet)
    assert (elsewhere.unpacked(arrived.digest).rootfs / "hello").read_text() == "travels\n"
