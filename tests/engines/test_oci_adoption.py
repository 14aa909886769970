"""Boxes outlive their server; whatever a killed server left half done is healed by the next one."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from machine import OciSubject, TinyImages, spec
from roost_server.domain.log import LogQuery
from roost_server.domain.replica import BoxStatus, ReplicaSpec
from roost_server.engines.oci import host, installation
from roost_server.engines.oci.box import BoxStates
from roost_server.engines.oci.installation import Installation
from roost_server.engines.oci.linux import adopter, processes
from roost_server.engines.oci.settings import OciSettings
from support.waiting import eventually

pytestmark = pytest.mark.slow

CREATE_POINTS = [
    "making:Making._begin",
    "making:Making._make_disk",
    "making:Making._write_bundle",
    "orphans:Orphans.spawn",
    "process.conmon:create",
    "network.network:Network.attach",
    "process.runc:start",
    "making:Making._start",
]
DELETE_POINTS = [
    "removing:_end",
    "box:BoxStates.put",
    "cgroups:Cgroups.remove",
    "process.runc:forget",
    "disk:Disk.remove",
    "disk:Disk._throw_away",
    "network.network:Network.detach",
]


async def test_a_new_server_adopts_every_box(oci: OciSubject) -> None:
    made = [await oci.engine.create(spec()) for _ in range(3)]
    await oci.begin_again()
    assert sorted(await oci.engine.list(), key=lambda box: box.id) == sorted(made, key=lambda box: box.id)
    assert (await oci.shell(made[0].id, "echo alive")).stdout == b"alive\n"


async def test_adopted_boxes_keep_their_addresses_to_themselves(oci: OciSubject) -> None:
    first = await oci.engine.create(spec())
    await oci.begin_again()
    assert (await oci.engine.create(spec())).address != first.address


async def test_what_ended_while_no_server_ran_is_known_to_the_next(oci: OciSubject) -> None:
    script = "trap 'echo bye; exit 7' TERM; echo ready; while true; do sleep 0.01; done"
    box = await oci.engine.create(wanted := spec("sh", "-c", script))
    await eventually(lambda: _has_said_something(oci, wanted))
    await oci.engine.close()
    assert box.pid is not None
    os.kill(box.pid, signal.SIGTERM)
    await eventually(lambda: _is_gone(box.pid))
    await oci.begin_again()
    seen = await oci.until(box.id, BoxStatus.EXITED)
    assert (seen.exit_code, seen.log_tail) == (7, ["ready", "bye"])


async def test_a_box_whose_monitor_was_killed_too_has_ended_without_a_code(oci: OciSubject) -> None:
    wanted = spec()
    box = await oci.engine.create(wanted)
    state = BoxStates(oci.settings.data_dir / "boxes")
    state.load()
    known = state.get(box.id)
    assert known is not None and known.monitor is not None and box.pid is not None
    os.kill(known.monitor.pid, signal.SIGKILL)
    os.kill(box.pid, signal.SIGKILL)
    seen = await oci.until(box.id, BoxStatus.EXITED)
    assert seen.exit_code is None
    await oci.engine.delete(box.id)
    assert (await oci.engine.create(wanted)).status == BoxStatus.RUNNING


async def test_boxes_of_before_a_restart_of_the_machine_have_ended(oci: OciSubject) -> None:
    wanted = spec()
    await oci.engine.create(wanted)
    await oci.end(wanted.id)
    path = oci.settings.data_dir / "boxes" / wanted.id / "box.json"
    await asyncio.to_thread(lambda: path.write_text(path.read_text().replace('"boot_id": "', '"boot_id": "earlier-')))
    await oci.begin_again()
    assert (await oci.until(wanted.id, BoxStatus.EXITED)).id == wanted.id
    await oci.engine.delete(wanted.id)
    assert (await oci.engine.create(wanted)).status == BoxStatus.RUNNING


async def test_a_box_whose_state_was_lost_is_cleared_away(oci: OciSubject) -> None:
    box = await oci.engine.create(spec())
    path = oci.settings.data_dir / "boxes" / box.id / "box.json"
    await asyncio.to_thread(path.write_text, "")
    await oci.begin_again()
    assert await oci.engine.list() == []
    await eventually(lambda: _is_gone(box.pid))


@pytest.mark.parametrize("point", CREATE_POINTS)
async def test_a_create_that_was_killed_anywhere_is_finished_or_made_anew(
    oci: OciSubject, point: str, tiny_root: Path
) -> None:
    replica_id = str(uuid4())
    await oci.engine.close()
    await _killed_at(point, "create", replica_id, oci.settings, tiny_root)
    await oci.begin_again()
    assert {box.id for box in await oci.engine.list()} == {replica_id}
    box = await oci.engine.create(spec(id=replica_id))
    assert box.status == BoxStatus.RUNNING
    assert (await oci.shell(replica_id, "echo alive")).stdout == b"alive\n"


@pytest.mark.parametrize("point", CREATE_POINTS)
async def test_a_create_that_was_killed_anywhere_can_be_deleted(oci: OciSubject, point: str, tiny_root: Path) -> None:
    replica_id = str(uuid4())
    await oci.engine.close()
    await _killed_at(point, "create", replica_id, oci.settings, tiny_root)
    await oci.begin_again()
    await oci.engine.delete(replica_id)
    assert await oci.engine.list() == []
    assert await eventually(lambda: _leaves_nothing(replica_id))


@pytest.mark.parametrize("point", DELETE_POINTS)
async def test_a_delete_that_was_killed_anywhere_is_finished_by_the_next(
    oci: OciSubject, point: str, tiny_root: Path
) -> None:
    replica_id = str(uuid4())
    await oci.engine.create(spec(id=replica_id))
    await oci.engine.close()
    await _killed_at(point, "delete", replica_id, oci.settings, tiny_root)
    await oci.begin_again()
    await oci.engine.delete(replica_id)
    assert await oci.engine.inspect(replica_id) is None
    assert await eventually(lambda: _leaves_nothing(replica_id))
    assert (await oci.engine.create(spec(id=replica_id))).status == BoxStatus.RUNNING


async def test_a_caller_that_goes_away_does_not_leave_half_a_box(oci: OciSubject) -> None:
    wanted = spec()
    creating = asyncio.ensure_future(oci.engine.create(wanted))
    await asyncio.sleep(0)
    creating.cancel()
    assert (await oci.engine.create(wanted)).status == BoxStatus.RUNNING


async def test_logs_go_on_under_a_new_server(oci: OciSubject) -> None:
    wanted = spec("sh", "-c", "while true; do echo tick; sleep 0.01; done")
    await oci.engine.create(wanted)
    await oci.begin_again()
    latest = LogQuery(order="desc", limit=1)
    before = await oci.engine.read_logs(wanted.runtime_id, latest)

    async def more() -> bool:
        return (await oci.engine.read_logs(wanted.runtime_id, latest)).lines != before.lines

    await eventually(more)


async def test_the_link_of_a_box_goes_with_it(oci: OciSubject) -> None:
    box = await oci.engine.create(spec())
    place = installation.existing(oci.settings)
    assert place is not None and box.pid is not None
    assert await asyncio.to_thread(_has_link, place)
    keeper = await asyncio.create_subprocess_exec("nsenter", "-t", str(box.pid), "-n", "sleep", "100000")
    try:
        await eventually(lambda: asyncio.to_thread(_share_a_network, keeper.pid, box.pid))
        await oci.engine.delete(box.id, force=True)
        assert not await asyncio.to_thread(_has_link, place)
    finally:
        keeper.kill()
        await keeper.wait()


async def test_destroying_leaves_nothing_on_the_host(tiny_root: Path, oci_settings: Callable[..., OciSettings]) -> None:
    settings = oci_settings()
    oci = OciSubject(settings, TinyImages(tiny_root))
    await oci.engine.start()
    running, ended = await oci.engine.create(spec()), await oci.engine.create(spec())
    await oci.end(ended.id)
    place = installation.existing(settings)
    assert place is not None
    await oci.engine.destroy()
    assert await _leaves_nothing(running.id) and await _leaves_nothing(ended.id)
    assert await eventually(lambda: _host_is_clean(place))


async def test_two_installations_do_not_disturb_each_other(
    oci: OciSubject, oci_settings: Callable[..., OciSettings]
) -> None:
    wanted = spec()
    await oci.engine.create(wanted)
    other = OciSubject(oci_settings(), oci.images)
    await other.engine.start()
    try:
        same_id = await other.engine.create(wanted)
        assert len(await other.engine.list()) == 1
        assert same_id.address != (await oci.engine.inspect(wanted.id)).address
    finally:
        await other.engine.destroy()
    assert (await oci.shell(wanted.id, "echo alive")).stdout == b"alive\n"


async def test_an_adopter_that_a_killed_server_left_starts_nothing_later(
    oci: OciSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "ADOPTER_SECONDS", 0.0)
    held, given = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    assert oci.engine._ready is not None
    with held, given:
        command = [sys.executable, "-I", "-S", adopter.__file__, str(given.fileno())]
        with subprocess.Popen(command, pass_fds=[given.fileno()]) as left:  # noqa: ASYNC220 it is to be left
            oci.engine._ready.cgroups.take_monitor(left.pid)
            await oci.begin_again()
            ended = left.poll()
            left.kill()
    assert ended == -signal.SIGKILL


def _has_link(place: Installation) -> bool:
    return any(Path("/sys/class/net").glob(f"{place.veth_prefix}*"))


def _share_a_network(one: int, other: int | None) -> bool:
    return Path(f"/proc/{one}/ns/net").readlink() == Path(f"/proc/{other}/ns/net").readlink()


async def _has_said_something(oci: OciSubject, wanted: ReplicaSpec) -> bool:
    return bool((await oci.engine.read_logs(wanted.runtime_id, LogQuery())).lines)


async def _killed_at(point: str, verb: str, replica_id: str, settings: OciSettings, root: Path) -> None:
    """A server of its own that is killed as soon as it has done what `point` names."""
    script = Path(__file__).parent / "killed_server.py"
    arguments = [point, verb, replica_id, str(settings.data_dir), str(settings.run_dir), str(root)]
    environment = {**os.environ, "PYTHONPATH": str(script.parent.parent)}
    process = await asyncio.create_subprocess_exec(sys.executable, str(script), *arguments, env=environment)
    assert await process.wait() == -signal.SIGKILL, f"{point} was never reached"


async def _is_gone(pid: int | None) -> bool:
    return pid is not None and processes.identify(pid) is None


async def _leaves_nothing(replica_id: str) -> bool:
    """No mount, cgroup or process names the box any more."""
    return await asyncio.to_thread(_names_nothing, replica_id)


def _names_nothing(name: str) -> bool:
    mounts = Path("/proc/self/mounts").read_text()
    find = ["find", "/sys/fs/cgroup", "-type", "d", "-name", f"*{name}*"]  # fails when others' cgroups go meanwhile
    cgroups = subprocess.run(find, capture_output=True, text=True).stdout
    processes = subprocess.run(["pgrep", "-f", name], capture_output=True, text=True).stdout
    return name not in mounts and not cgroups and not processes


async def _host_is_clean(place: Installation) -> bool:
    links, tables, addresses = await asyncio.gather(
        *(
            asyncio.to_thread(subprocess.check_output, command, text=True)
            for command in (["ip", "link"], ["nft", "list", "tables"], ["ip", "addr", "show", "lo"])
        )
    )
    clean = place.veth_prefix not in links and place.table not in tables and str(place.network[1]) not in addresses
    return clean and await asyncio.to_thread(_names_nothing, place.cgroup) and not place.run.exists()
