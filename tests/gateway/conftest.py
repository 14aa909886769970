import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest
from roost_server.gateway.envoy import EnvoyGateway
from roost_server.gateway.settings import GatewaySettings


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def settings() -> Iterator[GatewaySettings]:
    """Directories with short paths (sockets) and ports of their own."""
    base = Path(tempfile.mkdtemp(prefix="roost-gw-", dir="/tmp"))
    yield GatewaySettings(
        data_dir=base / "data",
        run_dir=base / "run",
        http_host="127.0.0.1",
        http_port=free_port(),
        https_port=free_port(),
        workers=1,
    )
    shutil.rmtree(base)


@pytest.fixture
async def gateway(settings: GatewaySettings) -> AsyncIterator[EnvoyGateway]:
    started = EnvoyGateway(settings)
    await started.start()
    yield started
    await started.close(stop_traffic=True)


@pytest.fixture
async def client(settings: GatewaySettings) -> AsyncIterator[Callable[[str], httpx.AsyncClient]]:
    """Makes clients that call one host through the gateway's plain port."""
    made: list[httpx.AsyncClient] = []

    def for_host(host: str) -> httpx.AsyncClient:
        made.append(
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{settings.http_port}", headers={"host": host}, timeout=20)
        )
        return made[-1]

    yield for_host
    for each in made:
        await each.aclose()
