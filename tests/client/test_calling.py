"""Calling agents through the real gateway. Boxes are simulated at loopback addresses; the agent listens on all."""

import json
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from roost import AsyncRoost, Roost, Runtime, UnreachableError

from client import installation
from client.conftest import Command
from client.installation import Installation

pytestmark = pytest.mark.slow


class Agent(BaseHTTPRequestHandler):
    """Tells what it was asked; /stream gives a first event and waits for `go` with the second."""

    protocol_version = "HTTP/1.1"
    go = threading.Event()

    def handle(self) -> None:
        """Callers that leave are nothing to write about where a command's output is looked at."""
        with suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        if self.path == "/stream":
            self.stream()
        else:
            self.tell()

    def do_POST(self) -> None:
        self.tell()

    do_PUT = do_POST

    def tell(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        told = {
            "method": self.command,
            "path": self.path,
            "host": self.headers["Host"],
            "type": self.headers["Content-Type"],
            "authorization": self.headers["Authorization"],
            "body": body.decode("latin-1"),
        }
        answer = json.dumps(told).encode()
        self.send_response(418 if self.path == "/refuse" else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"d\r\ndata: first\n\n\r\n")
        self.go.wait(20)
        self.wfile.write(b"e\r\ndata: second\n\n\r\n0\r\n\r\n")

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def agent_port() -> Iterator[int]:
    with ThreadingHTTPServer(("0.0.0.0", 0), Agent) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield listening.server_port
        listening.shutdown()


@pytest.fixture(scope="module")
def server() -> Iterator[Installation]:
    """Shadows the folder's server with one that has a real gateway."""
    with (
        tempfile.TemporaryDirectory(prefix="roost-client-", dir="/tmp") as folder,
        installation.running(Path(folder), gateway="envoy") as started,
    ):
        yield started


@pytest.fixture
def runtime(client: Roost, name: str, agent_port: int) -> Runtime:
    return client.runtimes.create(name, "agent", port=agent_port, exposed_ports=[agent_port])


def test_a_call_reaches_the_agent_and_the_token_does_not(runtime: Runtime) -> None:
    answer = runtime.call("POST", "/invocations?a=1", json={"prompt": "hi"}).json()
    assert (answer["method"], answer["path"], answer["type"]) == ("POST", "/invocations?a=1", "application/json")
    assert answer["host"] == runtime.url.removeprefix("http://")
    assert json.loads(answer["body"]) == {"prompt": "hi"}
    assert answer["authorization"] is None
    assert runtime.call("GET", params={"q": "ü"}, headers={"X": "1"}).json()["path"] == "/?q=%C3%BC"


def test_a_further_port_has_a_url_of_its_own(runtime: Runtime, agent_port: int) -> None:
    answer = runtime.call("GET", "/x", exposed_port=agent_port).json()
    assert answer["host"] == runtime.url.replace("http://", f"{agent_port}-")


def test_another_endpoint_is_called_by_its_name(runtime: Runtime, roost: Command) -> None:
    made = runtime.create_endpoint("canary", 1)
    assert runtime.call("GET", "/x", endpoint="canary").json()["host"] == made.url.removeprefix("http://")
    assert json.loads(roost("call", runtime.name, "/x", "--endpoint", "canary").out)["path"] == "/x"
    runtime.stop_endpoint("canary")
    answer = runtime.call("GET", "/x", endpoint=made.id)
    assert (answer.status_code, answer.json()["reason"]) == (503, "endpoint_stopped")
    assert runtime.call("GET", "/x").status_code == 200


def test_who_may_call_and_where_holds_for_the_next_call(client: Roost, runtime: Runtime) -> None:
    def status(token: str | None = None) -> int:
        headers = {"Authorization": f"Bearer {token}"} if token else None
        return runtime.call("GET", "/x", headers=headers).status_code

    runtime.update_endpoint("DEFAULT", access={"mode": "token"})
    assert status() == 401
    made = runtime.create_endpoint_token("DEFAULT", "partner")
    assert status(made.token) == 200
    runtime.delete_endpoint_token("DEFAULT", made.id)
    assert status(made.token) in (401, 403)
    runtime.create_endpoint("canary")
    who_knows_it = client.runtimes.get(runtime.name)
    assert who_knows_it.call("GET", "/x", endpoint="canary").status_code == 200
    runtime.delete_endpoint("canary")
    assert who_knows_it.call("GET", "/x", endpoint="canary").status_code == 404


def test_an_error_of_the_agent_is_an_answer(runtime: Runtime) -> None:
    assert runtime.call("GET", "/refuse").status_code == 418


def test_a_stream_is_read_while_it_comes(runtime: Runtime) -> None:
    Agent.go.clear()
    with runtime.stream("GET", "/stream") as response:
        chunks = response.iter_bytes()
        assert next(chunks) == b"data: first\n\n"
        Agent.go.set()
        assert b"".join(chunks) == b"data: second\n\n"


async def test_a_call_is_awaited(server: Installation, runtime: Runtime) -> None:
    async with AsyncRoost(server.url, server.token) as client:
        same = await client.runtimes.get(runtime.name)
        assert (await same.call("PUT", "/x", content="text")).json()["body"] == "text"


def test_a_stopped_runtime_says_so(runtime: Runtime, roost: Command) -> None:
    runtime.stop()
    answer = runtime.call("GET", "/")
    assert (answer.status_code, answer.json()["reason"]) == (503, "runtime_stopped")
    ended = roost("call", runtime.name)
    assert ended.code == 1
    assert f"roost: {runtime.name} answered 503" in ended.err


def test_silence_ends_the_call(runtime: Runtime) -> None:
    Agent.go.clear()
    with (
        pytest.raises(UnreachableError, match=f'"{runtime.name}".*took too long'),
        runtime.stream("GET", "/stream", timeout=0.2) as response,
    ):
        response.read()
    Agent.go.set()


def test_the_command_calls_like_curl(runtime: Runtime, roost: Command, tmp_path: Path) -> None:
    name = runtime.name
    assert json.loads(roost("call", name, "/x?y=1").out)["path"] == "/x?y=1"
    sent = json.loads(roost("call", name, "/i", "-d", '{"a": 1}').out)
    assert (sent["method"], sent["type"], sent["body"]) == ("POST", "application/json", '{"a": 1}')
    (tmp_path / "body.bin").write_bytes(b"\xff\x00")
    sent = json.loads(roost("call", name, "/i", "-X", "put", "-d", f"@{tmp_path}/body.bin").out)
    assert (sent["method"], sent["type"], sent["body"]) == ("PUT", "application/octet-stream", "\xff\x00")
    sent = json.loads(roost("call", name, "/i", "-d", "-", "-H", "content-type: text/csv", stdin="a,b").out)
    assert (sent["type"], sent["body"]) == ("text/csv", "a,b")
    refused = roost("call", name, "/refuse")
    assert (refused.code, json.loads(refused.out)["path"]) == (1, "/refuse")
    whole = json.loads(roost("call", name, "/refuse", "--json").out)
    assert (whole["status"], whole["body"]["path"]) == (418, "/refuse")
    assert roost("call", name, "/", "-d", "@/nowhere").code == 2
    assert roost("call", name, "/", "-H", "nonsense").code == 2
    assert "beyond ASCII" in roost("call", name, "/", "-H", "X-Name: José").err


def test_the_command_prints_a_stream_as_it_comes(
    runtime: Runtime, spawn: Callable[..., "subprocess.Popen[str]"]
) -> None:
    Agent.go.clear()
    with spawn("call", runtime.name, "/stream") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "data: first\n"
        Agent.go.set()
        assert process.stdout.read() == "\ndata: second\n\n"
    assert process.returncode == 0
