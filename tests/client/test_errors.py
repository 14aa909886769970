"""From answers to exceptions."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from roost import ApiError, BadGatewayError, NotFoundError, Roost, RoostError, UnreachableError, ValidationError, errors
from roost.errors import from_response

from client.installation import Installation, refusing_port


def test_an_envelope_becomes_the_class_of_its_type() -> None:
    body = {
        "code": 422,
        "detail": "cannot accept name",
        "type": "validation_error",
        "reason": "why",
        "errors": [{"loc": ["name"], "msg": "too long", "type": "string_too_long"}],
    }
    error = from_response(422, json.dumps(body).encode(), {"x-request-id": "r1"})
    assert isinstance(error, ValidationError)
    assert str(error) == "cannot accept name"
    assert (error.reason, error.request_id) == ("why", "r1")
    assert error.errors == (errors.FieldError(("name",), "too long", "string_too_long"),)
    assert error.envelope() == {**body, "request_id": "r1"}


@pytest.mark.parametrize("body", [b"<html>Bad Gateway</html>", b"", b"[]", b'"x"', b'{"detail": "x"}'])
def test_an_answer_of_something_else_says_so(body: bytes) -> None:
    error = from_response(502, body, {})
    assert isinstance(error, BadGatewayError)
    assert "status 502" in str(error)


def test_an_unknown_type_of_a_newer_server_is_still_an_api_error() -> None:
    error = from_response(418, b'{"detail": "cannot brew", "type": "teapot_error"}', {})
    assert type(error) is ApiError
    assert (error.code, str(error)) == (418, "cannot brew")


def test_the_server_names_the_missing_thing_and_the_request(client: Roost) -> None:
    with pytest.raises(NotFoundError, match='cannot find runtime "nobody"') as caught:
        client.runtimes.get("nobody")
    assert caught.value.code == 404
    assert caught.value.request_id


def test_a_name_cannot_lead_to_another_path(client: Roost) -> None:
    with pytest.raises(NotFoundError):
        client.runtimes.get("../images")


def test_nobody_listening_is_a_connection_error_that_says_what_to_do(server: Installation) -> None:
    with (
        refusing_port() as port,
        Roost(f"http://127.0.0.1:{port}", "token", retries=0) as client,
        pytest.raises(UnreachableError) as caught,
    ):
        client.runtimes.get("x")
    assert isinstance(caught.value, ConnectionError)
    assert isinstance(caught.value, RoostError)
    assert f"http://127.0.0.1:{port}" in str(caught.value)
    assert "roost-server run" in (caught.value.hint or "")


def test_another_kind_of_server_is_told_from_roost(server: Installation) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), SomePage) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        with Roost(f"http://127.0.0.1:{listening.server_port}", "t") as client:
            with pytest.raises(RoostError, match="is the url a Roost server"):
                client.runtimes.get("x")
            with pytest.raises(RoostError, match="is the url a Roost server"):
                list(client.runtimes.list())
        listening.shutdown()


class SomePage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>welcome</html>")

    def log_message(self, *arguments: object) -> None:
        pass


def test_a_wrong_token_is_refused(server: Installation) -> None:
    with Roost(server.url, "wrong") as client, pytest.raises(errors.AuthenticationError):
        next(iter(client.runtimes.list()))
