"""A box's limits hold, and what runs into them is told."""

import asyncio
from dataclasses import replace
from time import monotonic

import pytest
from machine import RESOURCES, OciSubject, spec
from roost_server.domain.replica import BoxStatus

pytestmark = pytest.mark.slow

EAT_MEMORY = "tail /dev/zero"


async def test_a_box_killed_at_its_memory_limit_says_so(oci: OciSubject) -> None:
    box = await oci.run("sh", "-c", f"echo eating; exec {EAT_MEMORY}")
    assert box.oom_killed
    assert box.exit_code == 137
    assert box.log_tail == ["eating"]


async def test_a_box_that_ends_by_itself_was_not_killed_for_memory(oci: OciSubject) -> None:
    box = await oci.run("sh", "-c", "exit 3")
    assert (box.exit_code, box.oom_killed) == (3, False)


async def test_a_command_killed_for_memory_leaves_the_box_running(oci: OciSubject) -> None:
    box = await oci.engine.create(spec())
    assert (await oci.shell(box.id, EAT_MEMORY)).exit_code == 137
    assert (await oci.engine.inspect(box.id)).status == BoxStatus.RUNNING


async def test_memory_of_dev_shm_counts_and_is_bounded(oci: OciSubject) -> None:
    box = await oci.engine.create(spec(resources=replace(RESOURCES, memory_mb=256)))
    done = await oci.shell(box.id, "dd if=/dev/zero of=/dev/shm/x bs=1M count=200; ls -l /dev/shm/x")
    assert b"No space left" in done.stderr
    assert (await oci.engine.measure())[box.id].memory_bytes > 60 * 1024 * 1024


async def test_no_more_processes_than_allowed(oci: OciSubject) -> None:
    box = await oci.engine.create(spec(resources=replace(RESOURCES, max_processes=20)))
    done = await oci.shell(box.id, "for i in $(seq 50); do sleep 1000 & done; echo all")
    assert b"fork" in done.stderr
    assert b"all" not in done.stdout


async def test_a_full_disk_is_full_for_its_box_only(oci: OciSubject) -> None:
    full, other = await oci.engine.create(spec()), await oci.engine.create(spec())
    fill = "for i in 1 2 3; do dd if=/dev/zero of=/fill$i bs=4k count=20000; sync; done"
    done = await oci.shell(full.id, f"{fill}; df -m / | tail -1")
    assert b"No space left" in done.stderr
    assert b"100%" in done.stdout
    assert (await oci.shell(full.id, "echo x > /tmp/x || echo tmp is full too")).stdout == b"tmp is full too\n"
    assert (await oci.shell(other.id, "dd if=/dev/zero of=/ok bs=1M count=20")).exit_code == 0


async def test_what_a_box_deletes_is_given_back_to_the_host(oci: OciSubject) -> None:
    box = await oci.engine.create(spec(resources=replace(RESOURCES, disk_mb=1024, memory_mb=512)))
    file = oci.settings.data_dir / "boxes" / box.id / "disk.img"
    script = "dd if=/dev/zero of=/big bs=1M count=400 && sync && rm /big && sync"
    assert (await oci.shell(box.id, script, timeout_seconds=600)).exit_code == 0
    full = (await asyncio.to_thread(file.stat)).st_blocks
    assert oci.engine._ready is not None
    await asyncio.to_thread(oci.engine._ready.give_back)
    assert (await asyncio.to_thread(file.stat)).st_blocks < full / 10
    assert (await oci.shell(box.id, "echo alive")).stdout == b"alive\n"


async def test_a_box_sees_its_limits(oci: OciSubject) -> None:
    box = await oci.engine.create(spec())
    script = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null"
    assert (await oci.shell(box.id, script)).stdout.split()[0] == str(64 * 1024 * 1024).encode()


async def test_a_tight_loop_gets_no_more_than_its_share(oci: OciSubject) -> None:
    began = monotonic()
    box = await oci.engine.create(spec(resources=replace(RESOURCES, cpu_cores=0.1)))
    await oci.shell(box.id, "while true; do :; done", timeout_seconds=1.0)
    used = (await oci.engine.measure())[box.id].cpu_seconds
    assert used < (monotonic() - began) / 2


async def test_more_open_files_than_the_host_allows_are_never_asked_for(oci: OciSubject) -> None:
    box = await oci.engine.create(spec())
    assert int((await oci.shell(box.id, "ulimit -n")).stdout) >= 1024
