"""Stopping: graceful, bounded, and with exit code 0."""

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from .conftest import until

pytestmark = pytest.mark.slow


def refuses_connections(agent):
    try:
        socket.create_connection(("127.0.0.1", agent.port)).close()
    except ConnectionRefusedError:
        return True
    return False


def test_an_idle_agent_stops_with_exit_code_0(own_agents):
    agent = own_agents.run("plain")
    agent.stop()
    assert agent.exit_code() == 0


@pytest.mark.parametrize("name", ["plain", "holding"])
def test_an_invocation_under_way_is_finished_first(own_agents, gate, name):
    agent = own_agents.run(name)
    with ThreadPoolExecutor() as callers:
        call = callers.submit(httpx.post, f"{agent.url}/invocations", json={"hold": gate.port}, timeout=60)
        visitor = gate.enter()
        agent.stop()
        until(lambda: refuses_connections(agent))
        visitor.release()
        assert call.result().status_code == 200
    assert agent.exit_code() == 0


def test_a_stream_under_way_is_finished_first(own_agents, gate):
    agent = own_agents.run("streaming")
    with agent.http.stream("POST", "/invocations", json={"hold": gate.port}) as answer:
        lines = answer.iter_lines()
        assert next(lines) == 'data: {"number":0}'
        visitor = gate.enter()
        agent.stop()
        until(lambda: refuses_connections(agent))
        visitor.release()
        gate.enter().release()
        assert [line for line in lines if line] == ['data: {"number":1}', 'data: {"number":2}']
    assert agent.exit_code() == 0


@pytest.mark.parametrize("key", ["background", "background_thread"])
def test_a_background_task_is_finished_first(own_agents, gate, key):
    agent = own_agents.run("holding")
    agent.invoke({key: gate.port})
    visitor = gate.enter()
    agent.stop()
    until(lambda: refuses_connections(agent))
    assert agent.process.poll() is None
    visitor.release()
    assert agent.exit_code() == 0


@pytest.mark.parametrize(("name", "key"), [("plain", "hold"), ("holding", "hold"), ("holding", "background_thread")])
def test_what_never_ends_is_left_when_the_grace_is_over(own_agents, gate, name, key):
    agent = own_agents.run(name, ROOST_STOP_GRACE_SECONDS="1.5")
    with ThreadPoolExecutor() as callers:
        callers.submit(httpx.post, f"{agent.url}/invocations", json={key: gate.port}, timeout=60)
        visitor = gate.enter()
        agent.stop()
        assert agent.exit_code() == 0
        assert visitor.is_gone()


def test_a_stop_during_the_start_is_not_lost(own_agents):
    agent = own_agents.launch("plain")
    until(lambda: "SigCgt" in status(agent) and handles_sigterm(agent))
    agent.stop()
    assert agent.exit_code() == 0


def status(agent):
    return Path(f"/proc/{agent.process.pid}/status").read_text()


def handles_sigterm(agent):
    mask = next(line.split()[1] for line in status(agent).splitlines() if line.startswith("SigCgt"))
    return bool(int(mask, 16) & 1 << 14)


def test_an_agent_whose_start_fails_exits_with_3(own_agents):
    agent = own_agents.launch("broken_start")
    assert agent.exit_code() == 3
    assert "no model" in agent.log
