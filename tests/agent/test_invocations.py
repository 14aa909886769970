"""What a caller gets for what it sends."""

import pytest

from .conftest import until


def test_a_handler_answers_json(agents):
    answer = agents.shared("plain").invoke({"name": "Ada"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"echo": {"name": "Ada"}}


def test_a_body_is_json_whatever_its_content_type_says(agents):
    agent = agents.shared("plain")
    for content_type in ("application/x-www-form-urlencoded", "text/plain", "application/json; charset=utf-8"):
        answer = agent.http.post("/invocations", content=b'{"a": "\xc3\xa9"}', headers={"content-type": content_type})
        assert answer.json() == {"echo": {"a": "é"}}


def test_a_handler_may_return_a_dataclass(agents):
    assert agents.shared("plain").invoke({"point": True}).json() == {"x": 1, "y": 2}


@pytest.mark.parametrize(("body", "words"), [(b"{nonsense", "as JSON"), (b"", "empty"), (b"\xff\xfe\x00", "as JSON")])
def test_a_body_that_is_not_json_is_refused(agents, body, words):
    answer = agents.shared("plain").http.post("/invocations", content=body)
    assert answer.status_code == 400
    assert answer.json()["type"] == "bad_request_error"
    assert words in answer.json()["detail"]


def test_a_body_beyond_the_limit_is_refused(agents):
    answer = agents.shared("plain").http.post("/invocations", content=b'"' + b"x" * 2**20 + b'"')
    assert (answer.status_code, answer.json()["type"]) == (413, "payload_too_large_error")


def test_a_bug_in_a_handler_is_logged_and_not_shown(agents):
    agent = agents.shared("plain")
    answer = agent.invoke({"fail": "bug"}, **{"X-Request-Id": "r-1"})
    assert (answer.status_code, answer.json()["type"]) == (500, "internal_error")
    assert "r-1" in answer.json()["detail"]
    assert "secret" not in answer.text
    assert "KeyError: 'the secret internals'" in agent.log


def test_an_answer_that_json_cannot_hold_is_the_agents_fault(agents):
    agent = agents.shared("plain")
    assert agent.invoke({"fail": "not json"}).status_code == 500
    assert "cannot answer with a object" in agent.log


def test_a_handler_may_refuse_with_an_error_of_the_tree(agents):
    answer = agents.shared("plain").invoke({"fail": "refuse"})
    assert answer.status_code == 422
    assert answer.json() == {"code": 422, "detail": "cannot work with this", "type": "validation_error", "errors": []}


def test_unknown_paths_and_methods_say_what_there_is(agents):
    agent = agents.shared("plain")
    missing = agent.http.get("/nothing")
    assert (missing.status_code, missing.json()["code"]) == (404, 404)
    assert "POST /invocations" in missing.json()["detail"]
    wrong = agent.http.get("/invocations")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")


def test_another_application_answers_the_other_paths(agents):
    agent = agents.shared("mounted")
    assert agent.http.get("/docs").text == "other /docs"
    assert agent.invoke({}).json() == "mine"
    until(lambda: agent.health() == "Healthy")


def test_the_context_comes_from_the_headers(agents):
    headers = {"X-Roost-User-Id": "ada", "X-Roost-Session-Id": "s-1", "X-Request-Id": "r-1"}
    answer = agents.shared("contextual").invoke({}, **headers)
    assert answer.json() == {"user": "ada", "session": "s-1", "request": "r-1"}
    assert answer.headers["x-request-id"] == "r-1"


def test_agentbase_header_names_mean_the_same(agents):
    prefix = "X-GreenNode-AgentBase-"
    headers = {f"{prefix}User-Id": "ada", f"{prefix}Session-Id": "s-1", f"{prefix}Request-Id": "r-1"}
    assert agents.shared("contextual").invoke({}, **headers).json() == {
        "user": "ada",
        "session": "s-1",
        "request": "r-1",
    }


def test_a_missing_required_header_is_named_and_never_defaulted(agents):
    answer = agents.shared("contextual").invoke({}, **{"X-Roost-User-Id": "ada", "X-Roost-Session-Id": ""})
    assert answer.status_code == 400
    assert "X-Roost-Session-Id" in answer.json()["detail"]
    assert [error["loc"] for error in answer.json()["errors"]] == [["header", "X-Roost-Session-Id"]]


def test_a_request_without_an_id_gets_one(agents):
    answer = agents.shared("contextual").invoke({}, **{"X-Roost-User-Id": "ada", "X-Roost-Session-Id": "s-1"})
    assert answer.headers["x-request-id"] == answer.json()["request"]


def test_the_context_reaches_a_handler_in_a_thread(agents):
    answer = agents.shared("threaded_context").invoke({}, **{"X-Roost-Session-Id": "s-1"})
    assert answer.json() == {"session": "s-1"}
