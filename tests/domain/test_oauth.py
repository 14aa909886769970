"""Token requests as RFC 6749 spells them, and as clients do."""

import base64

import pytest
from roost_server.domain import oauth

GRANT = b"grant_type=client_credentials"


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("authorization", "body", "spellings"),
    [
        (None, GRANT + b"&client_id=a&client_secret=b", [("a", "b")]),
        (None, GRANT + b"&client_id=default%2Fdefault&client_secret=x%2By", [("default/default", "x+y")]),
        ("Bearer other", GRANT + b"&client_id=a&client_secret=b", [("a", "b")]),
        (basic("a:b"), GRANT, [("a", "b")]),
        (basic("a:b").replace("Basic", "basic"), GRANT, [("a", "b")]),
        (basic("a:b"), GRANT + b"&client_id=a", [("a", "b")]),
        (basic("a:b"), GRANT + b"&scope=runtime%3Aread+other&unknown=1", [("a", "b")]),
        (basic("a:b:c"), GRANT, [("a", "b:c")]),
        (basic("default%2Fdefault:x%2By"), GRANT, [("default%2Fdefault", "x%2By"), ("default/default", "x+y")]),
        (basic("default/default:x+y"), GRANT, [("default/default", "x+y"), ("default/default", "x y")]),
    ],
)
def test_credentials_are_found_where_clients_put_them(
    authorization: str | None, body: bytes, spellings: list[tuple[str, str]]
) -> None:
    assert oauth.read_form(f"{oauth.FORM}; charset=utf-8", authorization, body) == oauth.Client(tuple(spellings))


@pytest.mark.parametrize(
    ("error", "status", "authorization", "body"),
    [
        ("invalid_request", 400, basic("a:b"), b""),
        ("invalid_request", 400, basic("a:b"), b"grant_type="),
        ("invalid_request", 400, basic("a:b"), GRANT + b"&" + GRANT),
        ("invalid_request", 400, basic("a:b"), GRANT + b"&client_id=a&client_secret=b"),
        ("invalid_request", 400, basic("a:b"), GRANT + b"&client_id=other"),
        ("invalid_request", 400, basic("a:b"), "grant_type=cliënt".encode()),
        ("invalid_request", 400, basic("a:b"), b"grant_type=%ff"),
        ("invalid_request", 400, basic("a:b"), b"&".join(b"f%d=1" % number for number in range(200))),
        ("unsupported_grant_type", 400, basic("a:b"), b"grant_type=password"),
        ("invalid_scope", 400, basic("a:b"), GRANT + b"&scope=a++b"),
        ("invalid_scope", 400, basic("a:b"), GRANT + b"&scope=%22"),
        ("invalid_client", 401, None, GRANT),
        ("invalid_client", 401, None, GRANT + b"&client_id=a"),
        ("invalid_client", 401, None, GRANT + b"&client_id=a&client_secret="),
        ("invalid_client", 401, None, GRANT + b"&client_id=a%00&client_secret=b"),
        ("invalid_client", 401, None, GRANT + b"&client_id=a&client_secret=" + b"x" * 513),
        ("invalid_client", 401, basic("no colon"), GRANT),
        ("invalid_client", 401, basic(":b"), GRANT),
        ("invalid_client", 401, basic("a%00:b"), GRANT),
        ("invalid_client", 401, basic("ä:b"), GRANT),
        ("invalid_client", 401, "Basic !!!", GRANT),
        ("invalid_client", 401, "Basic \xff", GRANT),
        ("invalid_client", 401, "Basic", GRANT),
    ],
)
def test_what_is_wrong_is_said_in_the_rfcs_words(
    error: str, status: int, authorization: str | None, body: bytes
) -> None:
    with pytest.raises(oauth.Refused) as refused:
        oauth.read_form(oauth.FORM, authorization, body)
    assert (refused.value.error, refused.value.status) == (error, status)
    assert str(refused.value).startswith("cannot ")


def test_only_a_form_is_read() -> None:
    with pytest.raises(oauth.Refused) as refused:
        oauth.read_form("application/json", basic("a:b"), b"{}")
    assert refused.value.error == "invalid_request"
