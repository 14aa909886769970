"""A caller in a process of its own: steady requests at a URL, whether or not the ones before were answered.

    python load.py http://127.0.0.1:7080 HOST RATE OUTPUT [HEADER=VALUE…]

Every 50th request is one that the agent holds for two seconds. Writes a line per answer to OUTPUT: seconds since the
start, status or what went wrong, milliseconds. Ends on SIGTERM, when every request has its answer.
"""

import asyncio
import signal
import sys
import time
from pathlib import Path
from typing import TextIO

import httpx

HELD_EVERY = 50
TIMEOUT_SECONDS = 60


async def main(answers: TextIO, base: str, host: str, rate: float, *headers: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    given = dict(header.split("=", 1) for header in headers)
    limits = httpx.Limits(max_connections=500, max_keepalive_connections=100)
    async with httpx.AsyncClient(
        base_url=base, headers={"host": host, **given}, timeout=TIMEOUT_SECONDS, limits=limits, trust_env=False
    ) as client:
        began = due = time.monotonic()
        under_way: set[asyncio.Task[None]] = set()
        number = 0
        while not stop.is_set():
            path = "/pause?2" if number % HELD_EVERY == HELD_EVERY - 1 else "/echo"
            task = asyncio.create_task(ask(client, path, began, answers))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            number, due = number + 1, due + 1 / rate
            await asyncio.sleep(due - time.monotonic())
        await asyncio.gather(*under_way)


async def ask(client: httpx.AsyncClient, path: str, began: float, answers: TextIO) -> None:
    asked = time.monotonic()
    try:
        response = await client.post(path, content="hello")
        said = "200" if response.status_code == 200 else f"{response.status_code} {response.text}"
    except httpx.HTTPError as error:
        said = repr(error)
    now = time.monotonic()
    answers.write(f"{asked - began:.3f}\t{said}\t{(now - asked) * 1000:.1f}\n")


with Path(sys.argv[4]).open("w", buffering=1) as written:
    asyncio.run(main(written, sys.argv[1], sys.argv[2], float(sys.argv[3]), *sys.argv[5:]))
