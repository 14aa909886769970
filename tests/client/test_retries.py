"""When a request is sent again."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from roost import AsyncRoost, Roost, UnavailableError, UnreachableError, calls, retries
from roost.calls import Call

READ = calls.get("/runtimes")
CREATE = calls.create("/runtimes", {"name": "a"})
EXEC = Call("POST", "/runtimes/a/exec", json={})


@pytest.mark.parametrize(
    ("call", "attempt", "reached", "again"),
    [
        (READ, 0, True, True),
        (CREATE, 0, True, True),
        (EXEC, 0, True, False),
        (EXEC, 0, False, True),
        (READ, 3, False, False),
    ],
)
def test_a_broken_connection(call: Call, attempt: int, reached: bool, again: bool) -> None:
    delay = retries.delay_after_break(call, attempt, 3, reached=reached)
    assert (delay is not None) == again


@pytest.mark.parametrize(
    ("call", "attempt", "status", "again"),
    [(READ, 0, 503, True), (CREATE, 2, 429, True), (EXEC, 0, 503, False), (READ, 3, 503, False), (READ, 0, 500, False)],
)
def test_an_answer_that_asks_to_come_again(call: Call, attempt: int, status: int, again: bool) -> None:
    delay = retries.delay_after_status(call, attempt, 3, status, None)
    assert (delay is not None) == again


def test_the_server_says_how_long_within_reason() -> None:
    assert retries.delay_after_status(READ, 0, 3, 503, "2") == 2
    assert retries.delay_after_status(READ, 0, 3, 503, "3600") == retries.LONGEST_SECONDS
    assert retries.delay_after_status(READ, 0, 3, 503, "Wed, 21 Oct 2026 07:28:00 GMT") == retries.FIRST_SECONDS


def test_creating_sends_a_key_of_its_own() -> None:
    other = calls.create("/runtimes", {"name": "a"})
    assert CREATE.headers["Idempotency-Key"] != other.headers["Idempotency-Key"]


class Flaky(BaseHTTPRequestHandler):
    """Answers 503 or breaks the connection until it has been asked often enough, then gives an empty list."""

    protocol_version = "HTTP/1.1"
    behaviour = ""
    failures = 0
    keys: list[str | None]

    def do_GET(self) -> None:
        if type(self).failures == 0:
            self.answer(200, b'{"items": [], "next_cursor": null}')
            return
        type(self).failures -= 1
        if self.behaviour == "breaks":
            self.close_connection = True
        else:
            self.answer(503, b'{"code": 503, "detail": "cannot do it now", "type": "unavailable_error"}')

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        type(self).keys.append(self.headers["Idempotency-Key"])
        self.do_GET()

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def flaky(behaviour: str, failures: int) -> Iterator[tuple[str, type[Flaky]]]:
    handler = type("Handler", (Flaky,), {"behaviour": behaviour, "failures": failures, "keys": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}", handler
        listening.shutdown()


@pytest.mark.parametrize("behaviour", ["breaks", "is_busy"])
def test_reading_survives_a_short_fault(behaviour: str) -> None:
    with flaky(behaviour, 2) as (url, _), Roost(url, "t") as client:
        assert list(client.runtimes.list()) == []


@pytest.mark.parametrize("behaviour", ["breaks", "is_busy"])
async def test_awaited_reading_survives_a_short_fault(behaviour: str) -> None:
    with flaky(behaviour, 2) as (url, _):
        async with AsyncRoost(url, "t") as client:
            assert [one async for one in client.runtimes.list()] == []


def test_a_fault_that_stays_is_told() -> None:
    with flaky("is_busy", 100) as (url, _), Roost(url, "t", retries=1) as client, pytest.raises(UnavailableError):
        client.runtimes.get("a")
    with flaky("breaks", 100) as (url, _), Roost(url, "t", retries=1) as client, pytest.raises(UnreachableError):
        client.runtimes.get("a")


def test_creating_repeats_its_key() -> None:
    with flaky("breaks", 2) as (url, handler), Roost(url, "t") as client:
        client.runtimes.create("a", wait=False)
    assert len(handler.keys) == 3
    assert len(set(handler.keys)) == 1
