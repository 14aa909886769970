"""A caller that goes away stops the work done for it."""

import json
import socket

from .conftest import until


def call(agent, payload):
    """Send a request on a plain socket, so that the test can leave in the middle of the answer."""
    body = json.dumps(payload).encode()
    connection = socket.create_connection(("127.0.0.1", agent.port))
    connection.sendall(b"POST /invocations HTTP/1.1\r\nhost: agent\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
    return connection


def test_an_async_handler_is_cancelled(agents, gate):
    agent = agents.shared("holding")
    caller = call(agent, {"hold": gate.port})
    visitor = gate.enter()
    caller.close()
    assert visitor.is_gone()
    until(lambda: agent.health() == "Healthy")


def test_an_async_generator_is_closed(agents, gate):
    agent = agents.shared("streaming")
    caller = call(agent, {"hold": gate.port})
    visitor = gate.enter()
    caller.close()
    assert visitor.is_gone()
    until(lambda: agent.health() == "Healthy")


def test_a_sync_generator_is_closed(agents, gate):
    agent = agents.shared("sync_streaming")
    caller = call(agent, {"endless": True, "closed": gate.port})
    assert b"200 OK" in caller.recv(100)
    caller.close()
    gate.enter().release()
    until(lambda: agent.health() == "Healthy")


def test_a_sync_handler_runs_on_and_the_agent_stays_busy(agents, gate):
    agent = agents.shared("plain")
    caller = call(agent, {"hold": gate.port})
    visitor = gate.enter()
    caller.close()
    assert agent.health() == "HealthyBusy"
    visitor.release()
    until(lambda: agent.health() == "Healthy")


def test_a_caller_that_leaves_before_the_end_of_its_body_harms_nothing(agents):
    agent = agents.shared("plain")
    caller = socket.create_connection(("127.0.0.1", agent.port))
    caller.sendall(b"POST /invocations HTTP/1.1\r\nhost: agent\r\ncontent-length: 100\r\n\r\nfoo")
    caller.close()
    until(lambda: "caller left" in agent.log)
    until(lambda: agent.health() == "Healthy")
