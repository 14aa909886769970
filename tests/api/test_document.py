"""The OpenAPI document: every route names its access rule and the errors it may answer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from roost_server import server
from roost_server.api.context import Api
from roost_server.dialects.agentbase import dialect

HEALTH = {"/healthz", "/readyz", "/metrics"}
OAUTH = {"/oauth/token", "/.well-known/jwks.json", "/.well-known/oauth-authorization-server"}
OPEN = HEALTH | OAUTH
"""Routes that need no token, because they tell nothing of anybody's, or because they are where tokens come from."""

UNCHANGING = {"/tokens/{token}"}
"""What never changes has no revision that a caller could have seen an older one of."""

ANYWHERE = {"400", "401", "404", "413", "422", "500", "503"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    parts = Api(None, None, None, "localhost", 7080, 7443, Path(), 1 << 20)  # type: ignore[arg-type]
    app: FastAPI = server.application(parts)
    return app.openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def of_a_dialect(path: str) -> bool:
    return dialect.DIALECT.owns(path)


def test_every_route_names_its_access_rule(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        if of_a_dialect(path):
            assert [next(iter(rule)) for rule in operation["security"]] == ["HTTPBearer"], (method, path)
        elif path in OPEN:
            assert "security" not in operation, (method, path)
        else:
            assert {next(iter(rule)) for rule in operation["security"]} == {"HTTPBearer", "APIKeyHeader"}, (
                method,
                path,
            )


def test_every_route_that_is_not_open_is_of_a_workspace(document: dict[str, Any]) -> None:
    for path, _, _ in operations(document):
        assert path in OPEN or of_a_dialect(path) or path.startswith("/api/v1/org/{org}/ws/{ws}/"), path


def test_every_route_documents_the_errors_it_may_answer(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        model = "/AgentBaseError" if of_a_dialect(path) else "/ErrorEnvelope"
        assert set(operation["responses"]) >= ANYWHERE - ({"422"} if of_a_dialect(path) else set()), (method, path)
        for code, answer in operation["responses"].items():
            if code[0] in "45":
                schema = answer["content"]["application/json"]["schema"]
                of_oauth = path == "/oauth/token" and code in ("400", "401")
                model_here = "/OauthError" if of_oauth else model
                assert schema["$ref"].endswith(model_here), (method, path, code)


def test_every_route_and_every_parameter_says_what_it_is(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        assert operation.get("description"), (method, path)
        for parameter in operation.get("parameters", []):
            in_path = parameter["in"] == "path"
            assert in_path or parameter.get("description") or "enum" in str(parameter["schema"]), (
                path,
                parameter["name"],
            )


def test_every_creating_post_takes_an_idempotency_key(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        names = {parameter["name"] for parameter in operation.get("parameters", [])}
        assert ("201" in operation["responses"]) == ("idempotency-key" in names), (method, path)


def test_every_changing_call_on_a_runtime_takes_the_revision(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        names = {parameter["name"] for parameter in operation.get("parameters", [])}
        if method in ("put", "patch", "delete") and "/runtimes/" in path and not path.endswith(tuple(UNCHANGING)):
            assert "if-match" in names, (method, path)


def test_no_field_of_the_document_gives_a_password_back(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for name, schema in schemas.items():
        if "password" in schema.get("properties", {}):
            assert schema["properties"]["password"].get("writeOnly"), name
