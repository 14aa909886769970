"""A server that is killed leaves no program of its image work behind."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest
from roost_server.engines.oci.images import process, userns
from support.registry import Registry
from support.waiting import eventually

from oci_images import making
from oci_images.host import commands, mounts, names

pytestmark = pytest.mark.slow

PULL = """
import asyncio, pathlib
from roost_server.engines.oci.images.oci_images import ImageSettings, OciImages
images = OciImages(ImageSettings(pathlib.Path({data_dir!r})))
asyncio.run(images.pull({name!r}, None, print))
"""
BUILD = """
import asyncio, pathlib
from roost_server.engines.oci.images.oci_images import ImageSettings, OciImages
async def build():
    images = OciImages(ImageSettings(pathlib.Path({data_dir!r})))
    base = await images.pull({name!r}, None, lambda _: None)
    say = lambda line: print(line, flush=True)
    await images.build(pathlib.Path({context!r}), "Dockerfile", {{}}, {{"tiny": base.digest}}, say)
asyncio.run(build())
"""
LINGERING = """
import mmap, pathlib, time
pathlib.Path("/proc/self/comm").write_text("lingering")
memory = mmap.mmap(-1, 200 << 20)
memory.write(bytes(200 << 20))
print("begun", flush=True)
time.sleep(100000)
"""


async def test_a_pull_ends_with_its_server(data_dir: Path) -> None:
    asked = asyncio.Event()

    async def never_answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await asyncio.Event().wait()

    registry = await asyncio.start_server(never_answer, "127.0.0.1", 0)
    host = f"localhost:{registry.sockets[0].getsockname()[1]}"
    program = PULL.format(data_dir=str(data_dir), name=f"{host}/slow:v1")
    server = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    await asked.wait()

    server.send_signal(signal.SIGKILL)
    await server.wait()

    await eventually(lambda: nothing_runs_with(f"docker://{host}"))
    registry.close()


async def test_a_build_ends_with_its_server(data_dir: Path, registry: Registry, context: Path) -> None:
    making.put(registry, "busybox:v1", making.busybox())
    (context / "Dockerfile").write_text("FROM tiny\nRUN echo begun; while true; do echo 93517 > /dev/null; done\n")
    name = f"{registry.host}/busybox:v1"
    program = BUILD.format(data_dir=str(data_dir), name=name, context=str(context))
    server = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    assert server.stdout
    while (await server.stdout.readline()) not in (b"begun\n", b""):
        continue

    server.send_signal(signal.SIGKILL)
    await server.wait()

    await eventually(lambda: nothing_runs_with("echo 93517"))
    assert not [line for line in mounts() if str(data_dir) in line]


async def test_what_a_cancelled_program_started_is_gone_with_it() -> None:
    """Also what left its process group, and takes a while to end for all the memory that it has."""
    inside = [
        sys.executable,
        "-m",
        userns.__name__,
        "231072",
        "--",
        "sh",
        "-c",
        'setsid python3 -c "$0" & wait',
        LINGERING,
    ]
    begun = asyncio.Event()
    running = asyncio.create_task(process.run(inside, merged=True, on_line=lambda _: begun.set()))
    await asyncio.wait([running, asyncio.create_task(begun.wait())], return_when=asyncio.FIRST_COMPLETED)
    assert running.cancel()
    await asyncio.wait([running])

    assert "lingering" not in names()


async def nothing_runs_with(words: str) -> bool:
    return not [line for line in commands() if words in line and "asyncio.run" not in line]
