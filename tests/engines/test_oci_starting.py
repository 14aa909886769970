"""What a box begins with: its command, user, environment and files, and what it is told when it cannot begin."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from machine import DIGEST, OciSubject, TinyImages, spec
from roost_server.domain import errors
from roost_server.domain.image import ImageConfig
from roost_server.domain.log import LogQuery
from roost_server.domain.replica import BoxStatus
from roost_server.engines.oci.linux import processes
from roost_server.engines.oci.settings import OciSettings
from support.waiting import eventually

pytestmark = pytest.mark.slow


async def _output(oci: OciSubject, *command: str, **changes: object) -> list[str]:
    """What a command says that runs as the box's own process."""
    box = await oci.run(*command, **changes)
    return box.log_tail


async def test_the_image_says_what_runs_unless_the_replica_does(oci: OciSubject) -> None:
    oci.images.config = ImageConfig(entrypoint=["echo", "image"], cmd=["default"])
    assert await _output(oci, command=[]) == ["image default"]
    assert await _output(oci, command=[], args=["own"]) == ["image own"]
    assert await _output(oci, command=["echo"], args=["all", "own"]) == ["all own"]


async def test_environment_is_the_images_under_the_replicas(oci: OciSubject) -> None:
    oci.images.config = ImageConfig(env=["A=image", "B=image"])
    lines = await _output(oci, "env", env={"B": "replica"}, hostname="my-agent")
    assert {"A=image", "B=replica", "HOSTNAME=my-agent", "HOME=/root"} <= set(lines)
    assert any(line.startswith("PATH=") for line in lines)


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        (None, "uid=0(root) gid=0(root)"),
        ("agent", "uid=1000(agent) gid=1000(agent) groups=1000(agent),1234(extra)"),
        ("1000", "uid=1000(agent) gid=1000(agent) groups=1000(agent),1234(extra)"),
        ("1000:1234", "uid=1000(agent) gid=1234(extra)"),
        ("agent:extra", "uid=1000(agent) gid=1234(extra)"),
        ("4711", "uid=4711 gid=0(root)"),
    ],
)
async def test_a_user_is_looked_up_in_the_image(oci: OciSubject, user: str | None, expected: str) -> None:
    [line] = await _output(oci, "id", user=user)
    assert line.replace(" groups=0(root)", "").startswith(expected)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"command": ["no-such-command"]}, 'cannot start the replica: "no-such-command" is not found'),
        ({"command": ["/bin/no-such"]}, 'cannot start the replica: "/bin/no-such" is not found in the image'),
        ({"command": ["/etc/passwd"]}, 'cannot start the replica: "/etc/passwd" is not an executable file'),
        ({"user": "nobody-knows"}, 'cannot run as user "nobody-knows"'),
        ({"user": "agent:nobody-knows"}, 'cannot run as user "agent:nobody-knows"'),
        ({"user": "70000"}, 'cannot run as user "70000"'),
    ],
)
async def test_what_cannot_start_says_why(oci: OciSubject, changes: dict[str, object], words: str) -> None:
    with pytest.raises(errors.Invalid) as refused:
        await oci.engine.create(spec(**changes))
    assert refused.value.reason == "start_failed"
    assert refused.value.message.startswith(words)
    assert await oci.engine.list() == []


async def test_an_image_without_a_command_says_so(oci: OciSubject) -> None:
    oci.images.config = ImageConfig()
    with pytest.raises(errors.Invalid, match="the image says no command"):
        await oci.engine.create(spec(command=[]))


async def test_an_image_that_is_not_here_is_not_found(oci: OciSubject) -> None:
    with pytest.raises(errors.Invalid) as refused:
        await oci.engine.create(spec(image_digest=DIGEST.replace("0", "1")))
    assert refused.value.reason == "image_not_found"
    assert await oci.engine.list() == []


async def test_a_missing_working_directory_is_made_for_the_user(oci: OciSubject) -> None:
    lines = await _output(oci, "sh", "-c", "pwd; touch made && echo done", workdir="/srv/deep/work", user="agent")
    assert lines == ["/srv/deep/work", "done"]


async def test_the_box_knows_its_name_and_resolvers(oci: OciSubject) -> None:
    script = "hostname; cat /etc/hostname; grep -c nameserver /etc/resolv.conf; grep my-agent /etc/hosts"
    lines = await _output(oci, "sh", "-c", script, hostname="my-agent")
    assert lines[:2] == ["my-agent", "my-agent"]
    assert int(lines[2]) >= 1
    assert lines[3].endswith("my-agent")


async def test_orphans_are_reaped_by_the_first_process(oci: OciSubject) -> None:
    box = await oci.engine.create(spec())
    await oci.shell(box.id, "(sh -c 'sleep 0.01' &) ; true")

    async def no_zombies() -> bool:
        done = await oci.shell(box.id, "cat /proc/[0-9]*/stat")
        return b") Z " not in done.stdout

    async def begins_with_our_init() -> bool:
        return b"/.roost/init" in (await oci.shell(box.id, "cat /proc/1/cmdline")).stdout

    await eventually(begins_with_our_init)
    await eventually(no_zombies)


async def test_an_image_with_its_own_init_keeps_it_as_process_1(oci: OciSubject) -> None:
    oci.images.config = ImageConfig(entrypoint=["/bin/init"])
    box = await oci.engine.create(spec(command=[]))
    assert box.status == BoxStatus.RUNNING

    async def is_process_1() -> bool:
        return (await oci.shell(box.id, "cat /proc/1/comm")).stdout == b"init\n"

    await eventually(is_process_1)


async def test_the_stop_signal_is_the_images_and_the_grace_is_given(oci: OciSubject) -> None:
    oci.images.config = ImageConfig(stop_signal="SIGUSR1")
    script = "trap 'echo stopped well; exit 0' USR1; echo ready; while true; do sleep 0.01; done"
    wanted = spec("sh", "-c", script, stop_grace_seconds=60.0)
    await oci.engine.create(wanted)
    await eventually(lambda: _said(oci, wanted.runtime_id, "ready"))
    await oci.engine.delete(wanted.id)
    assert await _said(oci, wanted.runtime_id, "stopped well")


async def test_what_ignores_the_stop_signal_is_killed_after_the_grace(oci: OciSubject) -> None:
    wanted = spec("sh", "-c", "trap '' TERM; echo ready; while true; do sleep 0.01; done", stop_grace_seconds=0.1)
    box = await oci.engine.create(wanted)
    await eventually(lambda: _said(oci, wanted.runtime_id, "ready"))
    await oci.engine.delete(wanted.id)
    assert box.pid is not None and processes.identify(box.pid) is None


async def test_extra_authorities_are_trusted_besides_the_images_own(
    tiny_root: Path, oci_settings: Callable[..., OciSettings]
) -> None:
    settings = oci_settings()
    bundle = settings.data_dir.parent / "extra.pem"
    bundle.write_text("EXTRA AUTHORITY\n")
    oci = OciSubject(replace(settings, extra_ca_certificates=bundle), TinyImages(tiny_root))
    await oci.engine.start()
    try:
        lines = await _output(oci, "sh", "-c", "cat $SSL_CERT_FILE $NODE_EXTRA_CA_CERTS")
        assert lines.count("EXTRA AUTHORITY") == 2
    finally:
        await oci.engine.destroy()


async def _said(oci: OciSubject, runtime_id: str, text: str) -> bool:
    return bool((await oci.engine.read_logs(runtime_id, LogQuery(contains=text))).lines)
