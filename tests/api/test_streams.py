"""What needs a real connection: streams that stay open, and bytes that are no HTTP."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support import served
from support.served import Served


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served.running(tmp_path_factory.mktemp("served")) as started:
        assert started.http.post("/runtimes?wait=60", json={"name": "agent"}).json()["status"] == "active"
        yield started


def restart(server: Served) -> None:
    """Makes the simulated agent write a line."""
    server.http.post("/runtimes/agent/stop?wait=60")
    server.http.post("/runtimes/agent/start?wait=60")


def events(stream: httpx.Response) -> Iterator[tuple[str, dict[str, str]]]:
    found: dict[str, str] = {}
    for line in stream.iter_lines():
        name, _, value = line.partition(": ")
        if name in ("id", "data"):
            found[name] = value
        if not line and "data" in found:
            yield found.pop("id"), json.loads(found.pop("data"))


def test_followed_logs_come_as_server_sent_events(server: Served) -> None:
    with server.http.stream("GET", "/runtimes/agent/logs?follow=true") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["x-request-id"]
        lines = events(stream)
        restart(server)
        _, line = next(lines)
        assert set(line) == {"time", "stream", "text", "replica_id"} and line["text"].startswith("started")


def test_a_follower_that_comes_back_misses_nothing_and_sees_nothing_twice(server: Served) -> None:
    with server.http.stream("GET", "/runtimes/agent/logs?follow=true&since=2020-01-01T00:00:00Z") as stream:
        first, _ = next(events(stream))
    restart(server)
    restart(server)
    paged = server.http.get("/runtimes/agent/logs?limit=1000").json()["items"]
    url, headers = "/runtimes/agent/logs?follow=true", {"Last-Event-ID": first}
    with server.http.stream("GET", url, headers=headers) as stream:
        lines = events(stream)
        assert [next(lines)[1] for _ in paged[1:]] == paged[1:]


def test_what_is_no_http_is_answered_with_the_envelope(server: Served) -> None:
    for sent in (
        b"NONSENSE\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1])), timeout=20) as connection:
            connection.sendall(sent)
            head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ") and b"x-request-id: " in head
        assert json.loads(body)["code"] == 400 and json.loads(body)["detail"].startswith("cannot ")


def test_a_body_of_10_mb_is_refused_over_a_real_connection(server: Served) -> None:
    answer = server.http.post("/runtimes", content=b" " * (10 << 20), headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["type"]) == (413, "payload_too_large_error")


@pytest.mark.slow
def test_a_server_that_is_ended_by_a_signal_ends(tmp_path: Path) -> None:
    with served.running(tmp_path) as started:
        started.http.post("/runtimes?wait=60", json={"name": "agent"})
        started.process.terminate()
        assert started.process.wait(30) == 0, started.log
