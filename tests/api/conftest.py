"""The API over a whole control plane, called without a socket."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from roost_server.api import app as application
from roost_server.domain.runtime import Status
from support import platform
from support.platform import TOKEN, Rig

BASE = "http://roost.test/api/v1/org/default/ws/default"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
async def rig(tmp_path: Path, database_url: str) -> AsyncIterator[Rig]:
    """Its loops run."""
    async with platform.opened(tmp_path, database_url) as prepared:
        prepared.start()
        yield prepared


@asynccontextmanager
async def shared_rig(folder: Path, migrated_file: Path) -> AsyncIterator[Rig]:
    """For a whole file of tests, on SQLite, with a runtime named `agent`."""
    shutil.copyfile(migrated_file, folder / "roost.db")
    async with platform.opened(folder, f"sqlite:///{folder}/roost.db") as prepared:
        prepared.start()
        await prepared.create("agent")
        await prepared.until("agent", Status.ACTIVE)
        yield prepared


_built: list[FastAPI] = []


@pytest.fixture
def app(rig: Rig) -> FastAPI:
    """Built once: its routes stay, its parts are the rig's."""
    if not _built:
        _built.append(application.build(rig.platform.api()))
    _built[0].state.api = rig.platform.api()
    return _built[0]


def client(app: FastAPI) -> httpx.AsyncClient:
    """A client with a good token; paths are under the workspace's base path."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=BASE, headers=AUTHORIZED, timeout=30)


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client(app) as opened:
        yield opened


@pytest.fixture
async def agent(http: httpx.AsyncClient) -> dict[str, object]:
    """A runtime named `agent`, active."""
    answer = await http.post("/runtimes?wait=30", json={"name": "agent"})
    assert answer.status_code == 201, answer.text
    shown: dict[str, object] = answer.json()
    assert shown["status"] == "active"
    return shown
