"""What every error answer must look like."""

from typing import Any

import httpx
from roost_server.api.errors import BY_CODE


def refused(answer: httpx.Response, code: int, field: str | None = None) -> dict[str, Any]:
    """The envelope of an answer that must be this error; `field` is the dotted path it must name."""
    assert answer.status_code == code, answer.text
    body: dict[str, Any] = answer.json()
    assert set(body) <= {"code", "detail", "type", "reason", "errors"}
    assert body["code"] == code and body["detail"].startswith("cannot "), body
    assert answer.headers["x-request-id"]
    types = {error.type for error in (BY_CODE[code], *BY_CODE[code].__subclasses__())} | {"already_exists_error"}
    assert body["type"] in types
    if field is not None:
        assert field in [".".join(map(str, item["loc"])) for item in body["errors"]], body
        assert all(set(item) == {"loc", "msg", "type"} for item in body["errors"])
    return body
