"""What an agent says about itself while it works."""

import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from .conftest import until


def test_an_idle_agent_is_healthy_and_says_since_when(agents):
    answer = agents.shared("plain").http.get("/health")
    assert answer.status_code == 200
    assert answer.json()["status"] == "Healthy"
    assert abs(answer.json()["time_of_last_update"] - time.time()) < 3600


@pytest.mark.parametrize("name", ["plain", "holding"])
def test_an_agent_is_busy_exactly_while_an_invocation_runs(agents, gate, name):
    agent = agents.shared(name)
    with ThreadPoolExecutor() as callers:
        call = callers.submit(httpx.post, f"{agent.url}/invocations", json={"hold": gate.port}, timeout=60)
        visitor = gate.enter()
        assert agent.health() == "HealthyBusy"
        visitor.release()
        assert call.result().status_code == 200
    until(lambda: agent.health() == "Healthy")


def test_sync_handlers_that_use_every_thread_do_not_hold_up_health(agents, gate):
    agent = agents.shared("one_worker")
    with ThreadPoolExecutor() as callers:
        calls = [callers.submit(httpx.post, f"{agent.url}/invocations", json={"hold": gate.port}, timeout=60)]
        first = gate.enter()
        calls.append(callers.submit(httpx.post, f"{agent.url}/invocations", json={"hold": gate.port}, timeout=60))
        assert agent.health() == "HealthyBusy"
        first.release("one")
        gate.enter().release("two")
        assert [call.result().json() for call in calls] == ["one", "two"]


@pytest.mark.parametrize("key", ["background", "background_thread"])
def test_an_agent_is_busy_while_a_background_task_runs(agents, gate, key):
    agent = agents.shared("holding")
    assert agent.invoke({key: gate.port}).status_code == 200
    visitor = gate.enter()
    assert agent.health() == "HealthyBusy"
    visitor.release()
    until(lambda: agent.health() == "Healthy")


def test_an_agent_is_busy_until_an_added_task_is_completed(agents):
    agent = agents.shared("holding")
    task_id = agent.invoke({"add": "index"}).json()["task_id"]
    assert agent.health() == "HealthyBusy"
    assert agent.invoke({"complete": task_id}).json() == {"known": True}
    assert agent.invoke({"complete": task_id}).json() == {"known": False}
    until(lambda: agent.health() == "Healthy")


def test_the_agents_own_check_decides(agents):
    agent = agents.shared("checking")
    for verdict in (False, "raise"):
        agent.invoke(verdict)
        answer = agent.http.get("/health")
        assert (answer.status_code, answer.json()["status"]) == (503, "Unhealthy")
    agent.invoke("HealthyBusy")
    assert agent.health() == "HealthyBusy"
    agent.invoke({"model": "loaded"})
    until(lambda: agent.health() == "Healthy")
    assert agent.http.get("/health").json()["model"] == "loaded"
