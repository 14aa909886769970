"""Answers that arrive piece by piece."""

import json

import httpx
import pytest


def events(lines):
    """(event, data) pairs of a server-sent event stream."""
    event = "message"
    for line in lines:
        if line.startswith("event: "):
            event = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield event, json.loads(line.removeprefix("data: "))
            event = "message"


def test_each_item_arrives_before_the_next_is_made(agents, gate):
    agent = agents.shared("streaming")
    with agent.http.stream("POST", "/invocations", json={"hold": gate.port}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["x-accel-buffering"] == "no"
        stream = events(answer.iter_lines())
        assert next(stream) == ("message", {"number": 0})
        gate.enter().release()
        assert next(stream) == ("message", {"number": 1})
        assert agent_is_busy(agent)
        gate.enter().release()
        assert list(stream) == [("message", {"number": 2})]


def agent_is_busy(agent):
    return httpx.get(f"{agent.url}/health").json()["status"] == "HealthyBusy"


def test_a_sync_generator_streams_too(agents):
    assert agents.shared("sync_streaming").invoke({}).text == "data: 0\n\ndata: 1\n\ndata: 2\n\n"


def test_an_empty_stream_is_an_answer(agents):
    answer = agents.shared("streaming").invoke({"count": 0})
    assert (answer.status_code, answer.text) == (200, "")


def test_an_error_in_mid_stream_is_its_last_event(agents):
    answer = agents.shared("streaming").invoke({"fail_at": 1})
    assert answer.status_code == 200
    refusal = {"code": 422, "detail": "cannot count further", "type": "validation_error", "errors": []}
    assert list(events(answer.text.splitlines())) == [("message", {"number": 0}), ("error", refusal)]


def test_a_bug_in_mid_stream_is_not_shown(agents):
    agent = agents.shared("streaming")
    answer = agent.invoke({"bug_at": 2})
    assert [event for event, _ in events(answer.text.splitlines())] == ["message", "message", "error"]
    assert "secret" not in answer.text
    assert "the secret internals" in agent.log


@pytest.mark.parametrize(("payload", "code"), [({"fail_at": 0}, 422), ({"bug_at": 0}, 500)])
def test_an_error_before_the_first_item_has_its_status(agents, payload, code):
    answer = agents.shared("streaming").invoke(payload)
    assert (answer.status_code, answer.json()["code"]) == (code, code)
