"""A caller in a process of its own: steady requests at a URL, whether or not the ones before were answered.

    python -m e2e.load http://127.0.0.1:7080 HOST RATE OUTPUT [HEADER=VALUE…]

Every 50th request is one that the agent holds for two seconds. Writes a line per answer to OUTPUT: when it was asked
for (on the monotonic clock, which all processes have in common), status or what went wrong, milliseconds. Ends on
SIGTERM, when every request has its answer.
"""

import asyncio
import signal
import sys
import time
from pathlib import Path
from typing import TextIO

import httpx

from e2e.pace import AT_ONCE, steadily

HELD_EVERY = 50
TIMEOUT_SECONDS = 60


async def main(answers: TextIO, base: str, host: str, rate: float, *headers: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    given = dict(header.split("=", 1) for header in headers)
    limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
    async with httpx.AsyncClient(
        base_url=base, headers={"host": host, **given}, timeout=TIMEOUT_SECONDS, limits=limits, trust_env=False
    ) as client:
        await steadily(rate, lambda number: ask(client, number, answers), stop.is_set)


async def ask(client: httpx.AsyncClient, number: int, answers: TextIO) -> None:
    path = "/pause?2" if number % HELD_EVERY == HELD_EVERY - 1 else "/echo"
    asked = time.monotonic()
    try:
        response = await client.post(path, content="hello")
        said = "200" if response.status_code == 200 else f"{response.status_code} {response.text}"
    except httpx.HTTPError as error:
        said = repr(error)
    answers.write(f"{asked:.3f}\t{said}\t{(time.monotonic() - asked) * 1000:.1f}\n")


if __name__ == "__main__":
    with Path(sys.argv[4]).open("w", buffering=1) as written:
        asyncio.run(main(written, sys.argv[1], sys.argv[2], float(sys.argv[3]), *sys.argv[5:]))
