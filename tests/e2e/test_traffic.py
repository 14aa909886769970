"""What a caller of an agent meets, through Envoy, with real agents behind it."""

import socket
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import websockets
from roost import Runtime, RuntimeFailed
from support.installation import Installation, until

from e2e.stories import SOURCE, agent, whoami

pytestmark = pytest.mark.slow

Deploy = Callable[..., Runtime]


def plain(roost: Installation, host: str) -> httpx.Client:
    """Calls one host on the gateway's plain port."""
    return httpx.Client(
        base_url=f"http://127.0.0.1:{roost.http_port}", headers={"host": host}, timeout=60, trust_env=False
    )


def host_of(runtime: Runtime) -> str:
    return httpx.URL(runtime.url).host


def refusal(answer: httpx.Response) -> dict[str, Any]:
    """The envelope of an answer that the gateway gave itself."""
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    told: dict[str, Any] = answer.json()
    assert told["code"] == answer.status_code
    return told


def answer_with(status: int, runtime: Runtime) -> Any:
    """The answer to a call, if it has this status: a new runtime's host is told to the gateway after a moment."""
    answer = runtime.call("GET", "/whoami")
    return answer if answer.status_code == status else None


def test_an_unknown_host_is_404(shared: Installation) -> None:
    with plain(shared, "nobody.localhost") as client:
        answer = client.get("/")
    assert answer.status_code == 404
    assert refusal(answer)["type"] == "not_found_error"
    assert "nobody.localhost" in refusal(answer)["detail"]


def test_a_stopped_runtime_is_503_and_says_so(deploy: Deploy) -> None:
    runtime = deploy(**agent())
    runtime.stop()
    answer = runtime.call("POST", "/echo", content="hello")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
    assert refusal(answer)["reason"] == "runtime_stopped"
    assert runtime.name in refusal(answer)["detail"]


def test_an_agent_that_is_not_ready_yet_is_503_and_worth_another_try(deploy: Deploy) -> None:
    runtime = deploy(**agent(env={"HEALTH": "503"}), wait=False)
    answer = until(lambda: answer_with(503, runtime))
    assert answer.headers["retry-after"] == "1"
    assert refusal(answer)["reason"] == "no_ready_replica"
    until(lambda: "answered 503" in (runtime.refresh().message or ""))


def test_a_failed_runtime_is_503(deploy: Deploy, shared: Installation) -> None:
    with pytest.raises(RuntimeFailed):
        deploy(**agent(command=["serve-the-agent"]))
    [runtime] = shared.client.runtimes.list(status="error")
    answer = until(lambda: answer_with(503, runtime))
    assert refusal(answer)["reason"] == "no_ready_replica"


def test_every_host_of_a_runtime_leads_to_it(deploy: Deploy, shared: Installation) -> None:
    runtime = deploy(**agent())
    hosts = [
        f"{runtime.id}.localhost",
        f"{runtime.endpoints[0].id}.localhost",
        f"{runtime.name}--default--default.localhost",
    ]
    for host in hosts:
        with plain(shared, host) as client:
            assert client.get("/health").status_code == 200, host


def test_an_exposed_port_has_a_host_of_its_own(deploy: Deploy) -> None:
    beside = "import subprocess, sys; subprocess.Popen([sys.executable, '-m', 'http.server', '9000'])\n"
    runtime = deploy(**agent(command=["python3", "-c", beside + SOURCE], exposed_ports=[9000]))
    until(lambda: "Directory listing" in runtime.call("GET", "/", exposed_port=9000).text)
    assert runtime.call("GET", "/whoami").status_code == 200


def test_a_request_arrives_as_it_was_sent(deploy: Deploy) -> None:
    seen = deploy(**agent()).call("POST", "/echo?a=1&b=%20", content="body", headers={"X-Mine": "yes"}).json()
    assert (seen["method"], seen["target"], seen["body"]) == ("POST", "/echo?a=1&b=%20", "body")
    assert seen["headers"]["x-mine"] == "yes"
    assert seen["headers"]["x-request-id"]


def test_server_sent_events_arrive_one_by_one(deploy: Deploy) -> None:
    runtime = deploy(**agent())
    with runtime.stream("GET", "/stream") as answer:
        lines = (line for line in answer.iter_lines() if line)
        assert next(lines) == "data: open"
        for _ in range(3):
            assert runtime.call("POST", "/push").json() == {"listeners": 1}
            assert next(lines) == "data: pushed"


def test_an_agent_learns_that_its_caller_went_away(deploy: Deploy) -> None:
    runtime = deploy(**agent())
    with runtime.stream("GET", "/stream") as answer:
        next(answer.iter_lines())
    until(lambda: runtime.call("GET", "/left").json() == {"left": 1})


def test_an_agent_learns_that_a_caller_without_an_answer_went_away(deploy: Deploy, shared: Installation) -> None:
    runtime = deploy(**agent())
    with socket.create_connection(("127.0.0.1", shared.http_port)) as caller:
        caller.sendall(f"GET /hold HTTP/1.1\r\nhost: {host_of(runtime)}\r\n\r\n".encode())
        until(lambda: runtime.call("GET", "/health").status_code == 200)
    until(lambda: runtime.call("GET", "/left").json() == {"left": 1})


async def test_websockets_pass(deploy: Deploy, shared: Installation) -> None:
    runtime = deploy(**agent())
    url = f"ws://{host_of(runtime)}:{shared.http_port}/ws"
    async with websockets.connect(url, host="127.0.0.1", port=shared.http_port, proxy=None) as connection:
        for word in ("one", "two"):
            await connection.send(word)
            assert await connection.recv() == word.upper()


def test_tls_verifies_against_the_installations_own_authority(deploy: Deploy, shared: Installation) -> None:
    runtime = deploy(**agent())
    trusted = ssl.create_default_context(cafile=shared.data / "tls" / "ca.crt")
    with httpx.Client(verify=trusted, timeout=60, trust_env=False) as client:
        answer = client.get(
            f"https://127.0.0.1:{shared.https_port}/whoami",
            headers={"host": host_of(runtime)},
            extensions={"sni_hostname": host_of(runtime)},
        )
    assert answer.json()["replica"] == whoami(runtime)["replica"]
    strangers = ssl.create_default_context()
    with (
        httpx.Client(verify=strangers, trust_env=False) as client,
        pytest.raises(httpx.ConnectError, match="CERTIFICATE"),
    ):
        client.get(f"https://127.0.0.1:{shared.https_port}/", extensions={"sni_hostname": host_of(runtime)})


def test_replicas_share_the_calls(deploy: Deploy) -> None:
    runtime = deploy(**agent(replicas=2))
    assert len({whoami(runtime)["replica"] for _ in range(40)}) == 2


def test_a_request_in_flight_is_answered_before_its_replica_goes(deploy: Deploy) -> None:
    runtime = deploy(**agent())
    with ThreadPoolExecutor(1) as background:
        slow = background.submit(runtime.call, "POST", "/slow")
        until(lambda: runtime.call("GET", "/waiting").json() == {"waiting": 1})
        runtime.stop(wait=False)
        until(lambda: runtime.call("GET", "/health").status_code == 503)
        [replica] = runtime.list_replicas()
        assert (replica.status, slow.done()) == ("stopping", False)
        httpx.post(f"http://{replica.address}:8080/push", timeout=60, trust_env=False)
        assert slow.result().json() == {"slow": True}
        assert runtime.wait().status == "stopped"


def test_a_replica_that_takes_no_connections_does_not_take_the_endpoint_down(deploy: Deploy) -> None:
    runtime = deploy(**agent(replicas=3))
    deaf = runtime.call("POST", "/deaf").raise_for_status().json()["deaf"]
    with ThreadPoolExecutor(8) as callers:
        answers = list(callers.map(lambda _: runtime.call("POST", "/echo", content="hello"), range(200)))
    assert {answer.status_code for answer in answers} == {200}
    serving = {whoami(runtime)["replica"] for _ in range(20)}
    assert deaf not in serving
    until(lambda: next(one for one in runtime.list_replicas() if one.id == deaf).status == "unready", 120)
    until(lambda: all(whoami(runtime)["replica"] != deaf for _ in range(20)))
