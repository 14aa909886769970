"""Calling an agent: one request after the other for its latency, many at once for requests per second.

As a program (`python -m bench.calls HOST PORT HOST_HEADER COUNT`) it prints latencies in milliseconds as JSON, so
that it can run inside another network namespace.
"""

import json
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

from bench.side import Address

ROOT = Path(__file__).parent.parent
CONNECTIONS = 32


def latencies(address: Address, count: int) -> list[float]:
    """Milliseconds of `count` requests over one connection, measured by a process beside the agent."""
    where = [address.host, str(address.port), address.host_header, str(count)]
    command = [*address.prefix, sys.executable, "-m", "bench.calls", *where]
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120).stdout
    return [float(value) for value in json.loads(output)]


def requests_per_second(address: Address, seconds: int) -> float:
    """What wrk gets through on one thread. Raises RuntimeError when any answer was not a success."""
    load = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-H", f"Host: {address.host_header}"]
    url = f"http://{address.host}:{address.port}/invocations"
    command = [*address.prefix, *load, url]
    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds + 60).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise RuntimeError(f"cannot measure {url}: requests failed\n{output}")
    found = re.search(r"Requests/sec:\s*([0-9.]+)", output)
    assert found, output
    return float(found[1])


def _measure(host: str, port: int, host_header: str, count: int) -> list[float]:
    request = f"GET /invocations HTTP/1.1\r\nhost: {host_header}\r\n\r\n".encode()
    with socket.create_connection((host, port), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(50):
            _call(connection, request)
        return [_call(connection, request) for _ in range(count)]


def _call(connection: socket.socket, request: bytes) -> float:
    began = time.perf_counter()
    connection.sendall(request)
    answer = connection.recv(65536)
    while not answer.endswith(b"{}"):
        answer += connection.recv(65536)
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(f"cannot measure: {answer[:200]!r}")
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    host, port, host_header, count = sys.argv[1:]
    print(json.dumps(_measure(host, int(port), host_header, int(count))))
