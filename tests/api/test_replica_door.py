"""What replicas may ask at the address of their host that is theirs: the API and the token endpoint."""

from dataclasses import replace

import httpx
import pytest
from fastapi import FastAPI
from roost_server.server import application
from support.platform import TOKEN, Rig

from api.envelopes import refused

pytestmark = pytest.mark.slow

DOOR = "10.213.0.1"
BASE = "/api/v1/org/default/ws/default"


@pytest.fixture
def served(rig: Rig) -> FastAPI:
    return application(replace(rig.platform.api(), replicas_address=DOOR))


def at(served: FastAPI, host: str) -> httpx.AsyncClient:
    """A client of connections to this address of the host."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url=f"http://{host}:7070")


@pytest.mark.parametrize("host", [DOOR, "[::ffff:10.213.0.1]"])
@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/openapi.json", "/docs", "/", "/portal", "/api", "/oauth"])
async def test_what_needs_no_token_is_not_there_for_replicas(served: FastAPI, host: str, path: str) -> None:
    async with at(served, host) as inside:
        answer = await inside.get(path, headers={"Host": "127.0.0.1:7070", "X-Forwarded-Host": "127.0.0.1"})
    assert "replicas" in refused(answer, 404)["detail"]


async def test_replicas_get_tokens_and_use_them(served: FastAPI) -> None:
    async with at(served, DOOR) as inside:
        assert (await inside.get("/healthz")).status_code == 200
        assert (await inside.get("/.well-known/jwks.json")).status_code == 200
        form = {"grant_type": "client_credentials"}
        for path in ("/oauth/token", "/accounts-api/v2/auth/token"):
            answer = await inside.post(path, data=form, auth=("default", TOKEN))
            bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
            assert (await inside.get(f"{BASE}/runtimes", headers=bearer)).status_code == 200
        refused(await inside.get(f"{BASE}/runtimes"), 401)


async def test_everybody_else_finds_everything(served: FastAPI) -> None:
    async with at(served, "127.0.0.1") as outside:
        for path in ("/metrics", "/readyz", "/openapi.json", "/healthz"):
            assert (await outside.get(path)).status_code != 404
