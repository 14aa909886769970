"""Image references, as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from roost_server.domain import errors
from roost_server.domain.image import parse

DIGEST = "sha256:" + "a" * 64

TABLE = [
    ("nginx", "nginx:latest", "docker.io/library/nginx:latest"),
    ("team/agent:v1", "team/agent:v1", "docker.io/team/agent:v1"),
    ("localhost/agent", "localhost/agent:latest", "localhost/agent:latest"),
    ("localhost:5000/team/agent:v1", "localhost:5000/team/agent:v1", "localhost:5000/team/agent:v1"),
    ("registry.example.com/a/b/c", "registry.example.com/a/b/c:latest", "registry.example.com/a/b/c:latest"),
    (
        f"registry.example.com/agent@{DIGEST}",
        "registry.example.com/agent:latest",
        f"registry.example.com/agent@{DIGEST}",
    ),
    (f"r.example.com/agent:v1@{DIGEST}", "r.example.com/agent:v1", f"r.example.com/agent@{DIGEST}"),
    ("[::1]:5000/agent", "[::1]:5000/agent:latest", "[::1]:5000/agent:latest"),
]


@pytest.mark.parametrize(("text", "name", "remote"), TABLE)
def test_a_reference_has_a_local_name_and_a_remote_one(text: str, name: str, remote: str) -> None:
    assert (parse(text).name, parse(text).remote) == (name, remote)


@pytest.mark.parametrize("text", ["", " ", "UPPER", "a b", "agent:", "agent@sha256:1", "https://x/y", "a" * 600, "x\n"])
def test_what_is_no_reference_is_refused_naming_the_field(text: str) -> None:
    with pytest.raises(errors.Invalid, match="cannot read") as caught:
        parse(text)
    assert caught.value.errors[0].loc == ("config", "build", "source", "ref")


@given(st.text(max_size=80))
def test_any_text_is_either_a_reference_or_refused(text: str) -> None:
    try:
        parsed = parse(text)
    except errors.Invalid:
        return
    assert parse(parsed.name).name == parsed.name
