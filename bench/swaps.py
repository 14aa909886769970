"""Updates and going back, as a caller sees them: when the other version answers, and how long nothing does meanwhile.

As a program (`python -m bench.swaps HOST PORT HOST_HEADER VERSION`) it calls until that version answers and prints when
that was and the longest time between two answers, so that it can run inside another network namespace.
"""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from bench import agent
from bench.report import Row
from bench.side import Address, Agent, Side

ROOT = Path(__file__).parent.parent
PATIENCE_SECONDS = 60
PAUSE_SECONDS = 0.001

Samples = dict[str, list[float]]


def measure(sides: Sequence[Side], rounds: int, say: Callable[[str], None]) -> list[Row]:
    """Replace a served agent by another version and go back, again and again."""
    names = [side.name for side in sides]
    updated, gap, back, gap_back = ({name: [] for name in names} for _ in range(4))
    for side in sides:
        served = side.serve("bench-swap", agent.version(0))
        for number in range(rounds + 1):
            say(f"update and go back {number}/{rounds} on {side.name}")
            program = agent.version(number + 1)
            _swap(served, number + 1, partial(side.replace, served, program), updated[side.name], gap[side.name])
            _swap(served, number, partial(side.go_back, served), back[side.name], gap_back[side.name])
            _swap(served, number + 1, partial(side.go_back, served), [], [])
        side.delete(served.box)
    return [
        Row("update, until the new version answers", "ms", _warm(updated)),
        Row("longest time without an answer meanwhile", "ms", _warm(gap)),
        Row("going back, until the old version answers", "ms", _warm(back), goal="at most 1000 ms"),
        Row("longest time without an answer meanwhile ", "ms", _warm(gap_back)),
    ]


def _swap(served: Agent, version: int, swap: Callable[[], None], took: list[float], gaps: list[float]) -> None:
    watcher = _watch(served.entry, version)
    began = time.monotonic()
    try:
        swap()
        output, _ = watcher.communicate(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"cannot measure a swap: version {version} never answered") from None
    finally:
        watcher.kill()
    seen, gap = json.loads(output)
    took.append((seen - began) * 1000)
    gaps.append(gap * 1000)


def _watch(address: Address, version: int) -> "subprocess.Popen[bytes]":
    """Calling already when this returns."""
    where = [address.host, str(address.port), address.host_header, str(version)]
    command = [*address.prefix, sys.executable, "-m", "bench.swaps", *where]
    watcher = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    assert watcher.stdout is not None
    watcher.stdout.readline()
    return watcher


def _call_until(host: str, port: int, host_header: str, version: int) -> tuple[float, float]:
    """When it answered (on the machine's monotonic clock), and the longest time between two answers, in seconds."""
    request = f"GET / HTTP/1.1\r\nhost: {host_header}\r\nconnection: close\r\n\r\n".encode()
    good, gap = time.monotonic(), 0.0
    while True:
        answer = _ask(host, port, request)
        now = time.monotonic()
        if answer.startswith(b"HTTP/1.1 200 "):
            gap, good = max(gap, now - good), now
            if f"x-version: {version}\r".encode() in answer:
                return now, gap
        time.sleep(PAUSE_SECONDS)


def _ask(host: str, port: int, request: bytes) -> bytes:
    try:
        with socket.create_connection((host, port), timeout=5) as connection:
            connection.sendall(request)
            return connection.recv(65536)
    except OSError:
        return b""


def _warm(samples: Samples) -> Samples:
    """Without each side's first, which pays for what is done once."""
    return {name: values[1:] for name, values in samples.items()}


if __name__ == "__main__":
    host, port, host_header, version = sys.argv[1:]
    print("calling", flush=True)
    print(json.dumps(_call_until(host, int(port), host_header, int(version))))
