"""Commands inside a box: who they run as, how they end, and that nothing of them is lost, left or let out."""

import asyncio
import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from machine import RESOURCES, OciSubject, spec
from roost_server.domain import errors
from roost_server.domain.exec import ExecRequest
from roost_server.domain.replica import BoxStatus
from support.waiting import PATIENCE_SECONDS, eventually

pytestmark = pytest.mark.slow


async def test_exit_codes_are_the_shells(oci: OciSubject) -> None:
    box = await oci.engine.create(spec())
    assert (await oci.shell(box.id, "exit 42")).exit_code == 42
    assert (await oci.engine.exec(box.id, ExecRequest(["/etc/passwd"]))).exit_code == 126
    assert (await oci.engine.exec(box.id, ExecRequest(["/etc"]))).exit_code == 126
    assert (await oci.engine.exec(box.id, ExecRequest(["/no/such/file"]))).exit_code == 127


async def test_a_command_that_a_signal_ended_is_told_from_one_with_that_exit_code(oci: OciSubject) -> None:
    box = await oci.engine.create(spec())
    killed, ended = await oci.shell(box.id, "kill -9 $$"), await oci.shell(box.id, "exit 137")
    assert (killed.exit_code, killed.signal) == (137, 9)
    assert (ended.exit_code, ended.signal) == (137, None)


async def test_stdout_and_stderr_stay_apart_and_are_any_bytes(oci: OciSubject) -> None:
    box = await oci.engine.create(spec())
    done = await oci.shell(box.id, r"printf '\0\377out'; printf '\376err' >&2")
    assert (done.stdout, done.stderr) == (b"\0\xffout", b"\xfeerr")


async def test_a_command_runs_where_and_as_whom_it_is_told(oci: OciSubject) -> None:
    box = await oci.engine.create(spec(user="agent", env={"A": "box"}, workdir="/tmp"))
    assert (await oci.shell(box.id, "pwd; id -un; echo $HOME $A")).stdout == b"/tmp\nagent\n/home/agent box\n"
    done = await oci.shell(box.id, "pwd; id -un; echo $HOME $A", cwd="/etc", user="root", env={"A": "exec"})
    assert done.stdout == b"/etc\nroot\n/root exec\n"


async def test_a_user_made_after_the_start_is_known(oci: OciSubject) -> None:
    box = await oci.engine.create(spec())
    await oci.shell(box.id, "echo late:x:2000:2000::/tmp:/bin/sh >> /etc/passwd")
    assert (await oci.shell(box.id, "id -u", user="late")).stdout == b"2000\n"


async def test_a_missing_directory_or_user_is_invalid(oci: OciSubject) -> None:
    box = await oci.engine.create(spec())
    with pytest.raises(errors.Invalid, match='no directory "/nowhere"'):
        await oci.shell(box.id, "true", cwd="/nowhere")
    with pytest.raises(errors.Invalid, match="nobody-knows"):
        await oci.shell(box.id, "true", user="nobody-knows")


@pytest.mark.parametrize(
    "request_",
    [
        ExecRequest([]),
        ExecRequest([""]),
        ExecRequest(["echo", "a\0b"]),
        ExecRequest(["echo"], env={"A": "\0"}),
        ExecRequest(["echo"], cwd="relative"),
    ],
)
async def test_what_no_system_takes_is_invalid(oci: OciSubject, request_: ExecRequest) -> None:
    box = await oci.engine.create(spec())
    with pytest.raises(errors.Invalid, match=r"^cannot run "):
        await oci.engine.exec(box.id, request_)


async def test_a_box_that_swaps_its_passwd_for_a_pipe_or_a_link_gains_nothing(oci: OciSubject) -> None:
    pipe, link = await oci.engine.create(spec()), await oci.engine.create(spec())
    await oci.shell(pipe.id, "rm /etc/passwd; mkfifo /etc/passwd")
    await oci.shell(link.id, "rm /etc/passwd; ln -s ../../../../../../etc/passwd /etc/passwd")
    for box, user in ((pipe, "agent"), (link, "daemon")):
        with pytest.raises(errors.Invalid, match=f'cannot run as user "{user}"'):
            await oci.shell(box.id, "true", user=user)


async def test_a_timeout_ends_all_that_the_command_started(oci: OciSubject) -> None:
    box = await oci.engine.create(spec())
    script = "setsid sleep 4711 & (sleep 4712 &) ; echo begun; sleep 4713"
    timeouts = itertools.accumulate(itertools.repeat(0.3), lambda seconds, _: seconds * 2)

    async def begun_by_then() -> bytes:
        done = await oci.shell(box.id, script, timeout_seconds=next(timeouts))
        assert (done.exit_code, done.timed_out) == (124, True)
        return done.stdout

    assert await eventually(begun_by_then) == b"begun\n"
    left = (await oci.shell(box.id, "grep -l 471[123] /proc/[0-9]*/cmdline | grep -v self")).stdout.split()
    assert len(left) <= 1, "only this command itself may name them"
    assert (await oci.engine.inspect(box.id)).status == BoxStatus.RUNNING


async def test_a_command_returns_though_it_leaves_something_in_the_background(oci: OciSubject) -> None:
    box = await oci.engine.create(spec())
    done = await oci.shell(box.id, "(while sleep 0.01; do echo noise; touch /tmp/alive; done) & echo begun")
    assert (done.exit_code, done.timed_out) == (0, False)
    assert b"begun\n" in done.stdout
    await oci.shell(box.id, "rm -f /tmp/alive")

    async def goes_on() -> bool:
        return (await oci.shell(box.id, "test -e /tmp/alive")).exit_code == 0

    await eventually(goes_on)


async def test_all_output_is_taken_though_only_a_part_is_kept(oci: OciSubject) -> None:
    box = await oci.engine.create(spec())
    script = "dd if=/dev/zero bs=1M count=20 2>/dev/null; dd if=/dev/zero bs=1M count=20 >&2; echo end > /tmp/end"
    done = await oci.shell(box.id, script, max_output_bytes=1000)
    assert (len(done.stdout), len(done.stderr)) == (1000, 1000)
    assert done.stdout_truncated and done.stderr_truncated
    assert (await oci.shell(box.id, "cat /tmp/end")).stdout == b"end\n"


async def test_large_stdin_is_given_whole_and_unread_stdin_hurts_nobody(oci: OciSubject) -> None:
    box = await oci.engine.create(spec())
    data = b"0123456789" * 200_000
    assert (await oci.shell(box.id, "wc -c", stdin=data)).stdout.strip() == b"2000000"
    assert (await oci.shell(box.id, "head -c 5", stdin=data)).stdout == b"01234"
    assert (await oci.shell(box.id, "echo ignored", stdin=data)).stdout == b"ignored\n"


async def test_many_commands_run_at_once_where_few_processes_may(oci: OciSubject) -> None:
    box = await oci.engine.create(spec(resources=replace(RESOURCES, cpu_cores=0.2, max_processes=24)))
    done = await asyncio.gather(*(oci.shell(box.id, f"echo {number}") for number in range(20)))
    assert [result.stdout for result in done] == [f"{number}\n".encode() for number in range(20)]


async def test_a_caller_that_goes_away_ends_its_command(oci: OciSubject) -> None:
    box = await oci.engine.create(spec())
    running = asyncio.ensure_future(oci.shell(box.id, "echo x > /tmp/begun; sleep 4714"))

    async def begun() -> bool:
        return (await oci.shell(box.id, "test -e /tmp/begun")).exit_code == 0

    async def ended() -> bool:
        return (await oci.shell(box.id, "pidof sleep | wc -w")).stdout.strip() == b"1"

    await eventually(begun)
    running.cancel()
    await eventually(ended)


async def test_a_command_in_a_box_that_is_deleted_meanwhile_ends(oci: OciSubject) -> None:
    box = await oci.engine.create(spec())
    running = asyncio.ensure_future(oci.shell(box.id, "echo x > /tmp/begun; sleep 4715"))

    async def begun() -> bool:
        return (await oci.shell(box.id, "test -e /tmp/begun")).exit_code == 0

    await eventually(begun)
    await oci.engine.delete(box.id, force=True)
    assert (await running).exit_code == 137


async def test_a_caller_that_goes_away_at_once_ends_its_command_too(oci: OciSubject) -> None:
    box = await oci.engine.create(spec())
    running = asyncio.ensure_future(oci.shell(box.id, "sleep 4717"))

    async def is_being_started() -> bool:
        return bool(oci.engine._orphans._commands)

    await eventually(is_being_started)
    running.cancel()
    await asyncio.wait([running])
    assert (await oci.shell(box.id, "pidof sleep | wc -w")).stdout.strip() == b"1"


async def test_an_adopter_outlives_a_box_that_is_removed_while_a_command_begins(
    oci: OciSubject, tmp_path: Path
) -> None:
    lost = oci.engine._orphans.run(["/bin/true"], tmp_path / "no" / "pid", [0, 1, 2])
    assert await asyncio.wait_for(lost.started, PATIENCE_SECONDS) is False
    missing = oci.engine._orphans.run(["/no/such/runtime"], tmp_path / "pid", [0, 1, 2])
    assert await asyncio.wait_for(missing.started, PATIENCE_SECONDS) is False
    box = await oci.engine.create(spec())
    assert (await oci.shell(box.id, "echo alive")).stdout == b"alive\n"


async def test_boxes_are_made_again_when_the_adopter_died_young(oci: OciSubject) -> None:
    wanted = spec()
    oci.engine._orphans._process.kill()

    async def made() -> bool:
        try:
            return (await oci.engine.create(wanted)).status == BoxStatus.RUNNING
        except errors.Unavailable:
            return False

    await eventually(made)


async def test_commands_are_reached_again_when_their_adopter_dies(oci: OciSubject) -> None:
    box = await oci.engine.create(spec())
    running = asyncio.ensure_future(oci.shell(box.id, "sleep 4716"))
    await oci.shell(box.id, "true")
    oci.engine._orphans._process.kill()
    with pytest.raises(errors.Unavailable, match="try again"):
        await running
    assert (await oci.shell(box.id, "echo alive")).stdout == b"alive\n"
