"""The gateway made of Envoy: joins its process, its configuration and its certificates."""

import asyncio
import contextlib
from collections import Counter

import structlog

from roost_server.domain import errors
from roost_server.domain.route import Snapshot
from roost_server.domain.traffic import Counts, Key
from roost_server.gateway import ports
from roost_server.gateway.admin import Address, Admin
from roost_server.gateway.counting import TrafficCounter
from roost_server.gateway.process import EnvoyProcess
from roost_server.gateway.resources.catalog import Builder
from roost_server.gateway.sessions import ANSWER_SECONDS, ByHash, Keeper, SessionsServer
from roost_server.gateway.settings import GatewaySettings
from roost_server.gateway.tls import Tls
from roost_server.gateway.xds import XdsServer

UPKEEP_SECONDS = 60.0
READY_SECONDS = 1.0
LOG_MAX_BYTES = 10 * 1024 * 1024

log = structlog.get_logger(__name__)


class EnvoyGateway:
    """Satisfies `gateway.Gateway`. `start` comes first; `close` lets go of Envoy, which keeps serving. `keeper`
    knows to which version a session belongs."""

    def __init__(self, settings: GatewaySettings, keeper: Keeper | None = None) -> None:
        self._settings = settings
        self._sessions = SessionsServer(
            settings.sessions_socket, keeper or ByHash(), max(ANSWER_SECONDS, settings.session_patience_seconds)
        )
        self._process = EnvoyProcess(settings)
        self.admin = Admin(settings.admin_socket)
        self._counter = TrafficCounter(self.admin)
        self._xds = XdsServer(settings.xds_socket, lambda name: self._tls.for_host(name))
        self._snapshot: Snapshot | None = None
        self._listening: int | None = None
        self._serves = asyncio.Event()
        self._upkeep: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process id of Envoy."""
        return self._process.pid

    async def start(self) -> None:
        """Adopt or start Envoy. Raises `Invalid` naming a setting that cannot be used, and `Unavailable` when a port
        is taken or Envoy does not come up."""
        self._prepare()
        self._tls = Tls(self._settings)
        self._builder = Builder(self._settings, self._tls.context())
        await self._xds.start()
        try:
            await self._sessions.start()
            await self._process.start()
            await self._meet()
        except BaseException:
            await self.close()
            raise
        self._upkeep = asyncio.create_task(self._keep_up_regularly())

    async def publish(self, snapshot: Snapshot) -> None:
        """As the contract says; only what differs from what Envoy holds is sent."""
        if snapshot != self._snapshot:
            self._snapshot = snapshot
            await self._xds.want(self._builder.build(snapshot, self._tls.secrets()))
        await self._xds.confirmed(self._settings.confirm_seconds)
        self._builder.confirmed()
        await self._listens()
        self._serves.set()

    async def _listens(self) -> None:
        """Envoy confirms its listeners a moment before they are open. So does one that was adopted from a server that
        ended before there were any."""
        envoy = self.pid
        if envoy != self._listening:
            await ports.answer(self._settings, self._settings.confirm_seconds)
            self._listening = envoy

    async def ready(self) -> None:
        """As the contract says: the first `publish` was confirmed, and both ports accept connections."""
        try:
            await asyncio.wait_for(self._serves.wait(), READY_SECONDS)
        except TimeoutError:
            raise errors.Unavailable("cannot reach agents: the gateway has not confirmed its routes yet") from None
        await ports.answer(self._settings, READY_SECONDS)

    async def in_flight(self) -> dict[str, int]:
        """As the contract says. Before the first `publish` it is not known which replica is behind an address."""
        if self._snapshot is None:
            raise errors.Unavailable("cannot count requests in flight: no routes were published yet")
        return by_replica(self._snapshot, await self.admin.active_requests())

    async def traffic(self) -> dict[Key, Counts]:
        """As the contract says; `counting.py` says what counts."""
        return await self._counter.read()

    async def close(self, *, stop_traffic: bool = False) -> None:
        """As the contract says."""
        await self._end_upkeep()
        if stop_traffic:
            await self._process.stop()
        else:
            await self._process.release()
        await self._xds.close()
        await self._sessions.close()
        await self.admin.close()

    def _prepare(self) -> None:
        self._settings.check()
        self._settings.log_file.parent.mkdir(parents=True, exist_ok=True)
        self._settings.gateway_dir.mkdir(parents=True, exist_ok=True)
        self._settings.gateway_dir.chmod(0o700)

    async def _meet(self) -> None:
        if not await self._xds.connected(self._settings.start_seconds):
            raise errors.Unavailable(
                f"cannot start the gateway: Envoy did not connect within {self._settings.start_seconds:g} seconds; "
                f"see {self._settings.log_file}"
            )

    async def keep_up(self) -> None:
        """What is due every minute: certificates about to end or replaced by the operator, and the log file."""
        if self._tls.renew() and self._snapshot is not None:
            log.info("renewed certificates")
            await self._xds.want(self._builder.build(self._snapshot, self._tls.secrets()))
        await self._bound_log()

    async def metrics(self) -> str:
        """Envoy's own statistics, as Prometheus reads them. A pool's clusters are
        `h1/<route>/<version>` and `h2/<route>/<version>`."""
        return await self.admin.prometheus()

    async def _keep_up_regularly(self) -> None:
        while True:
            await asyncio.sleep(UPKEEP_SECONDS)
            try:
                await self.keep_up()
            except (errors.RoostError, OSError) as error:
                log.error("gateway upkeep failed", error=str(error))

    async def _bound_log(self) -> None:
        """The log is at most twice LOG_MAX_BYTES, in two files."""
        path = self._settings.log_file
        if path.exists() and path.stat().st_size > LOG_MAX_BYTES:
            path.replace(path.with_suffix(".log.1"))
            await self.admin.reopen_logs()

    async def _end_upkeep(self) -> None:
        if self._upkeep is not None:
            self._upkeep.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._upkeep
            self._upkeep = None


def by_replica(snapshot: Snapshot, active: Counter[Address]) -> dict[str, int]:
    """Requests under way by replica; a replica may be behind several routes and ports."""
    pools = (pool for route in snapshot.routes for pool in route.pools)
    replicas = {(each.address, each.port): each.replica_id for pool in pools for each in pool.backends}
    found: Counter[str] = Counter()
    for address, requests in active.items():
        if address in replicas:
            found[replicas[address]] += requests
    return dict(found)
