import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import pytest
from roost_server.gateway.envoy import EnvoyGateway
from roost_server.gateway.settings import GatewaySettings
from roost_server.operations.sessions import Sessions
from roost_server.store import endpoints, runtimes, workspaces
from roost_server.store.store import Store, open_store
from support import ports

from gateway.stories import PATIENCE_SECONDS


@pytest.fixture
def settings() -> Iterator[GatewaySettings]:
    """Directories with short paths (sockets) and ports of their own. On a busy machine nothing is given up, and no
    connection closed, sooner than the test gives up."""
    base = Path(tempfile.mkdtemp(prefix="roost-gw-", dir="/tmp"))
    http_port, https_port = ports.free(2)
    yield GatewaySettings(
        data_dir=base / "data",
        run_dir=base / "run",
        http_host="127.0.0.1",
        http_port=http_port,
        https_port=https_port,
        workers=1,
        idle_seconds=PATIENCE_SECONDS,
        session_patience_seconds=PATIENCE_SECONDS,
        confirm_seconds=PATIENCE_SECONDS,
        start_seconds=PATIENCE_SECONDS,
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
            httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{settings.http_port}",
                headers={"host": host},
                timeout=2 * PATIENCE_SECONDS,
            )
        )
        return made[-1]

    yield for_host
    for each in made:
        await each.aclose()


@pytest.fixture
async def store(migrated_file: Path, tmp_path: Path) -> AsyncIterator[Store]:
    shutil.copyfile(migrated_file, tmp_path / "roost.db")
    opened = open_store(f"sqlite:///{tmp_path}/roost.db")
    yield opened
    await opened.close()


@pytest.fixture
async def endpoint(store: Store) -> str:
    """The id of an endpoint that the store knows."""
    async with store.write() as tx:
        workspace = await workspaces.create(tx, "org", "ws")
        runtime = await runtimes.insert(tx, workspace.id, "agent", "", {})
        return (await endpoints.insert(tx, runtime.id, "DEFAULT", is_default=True)).id


class Remembering(Sessions):
    """Remembers sessions in the store, and lists what it was told of them: (endpoint, session, version)."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.told: list[tuple[str, str, int]] = []

    def note(self, endpoint_id: str, session: str, version: int) -> None:
        super().note(endpoint_id, session, version)
        self.told.append((endpoint_id, session, version))


@pytest.fixture
def sessions(store: Store) -> Remembering:
    return Remembering(store)


Start = Callable[[GatewaySettings], Awaitable[EnvoyGateway]]


@pytest.fixture
async def start(sessions: Remembering) -> AsyncIterator[Start]:
    """Starts gateways whose sessions are remembered; their Envoys are ended at the end."""
    made: list[EnvoyGateway] = []

    async def one(settings: GatewaySettings) -> EnvoyGateway:
        made.append(EnvoyGateway(settings, sessions))
        await made[-1].start()
        return made[-1]

    yield one
    for each in made:
        await each.close(stop_traffic=True)
