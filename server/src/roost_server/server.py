"""The only place that builds and joins the parts, and that says in which order they start and stop."""

import asyncio
import fcntl
import os
import secrets
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa
import structlog
import uvicorn
from fastapi import FastAPI

from roost_server import parts
from roost_server.api import app
from roost_server.api.context import Api
from roost_server.api.protocol import EnvelopeProtocol
from roost_server.dialects.agentbase import dialect
from roost_server.domain import errors
from roost_server.engines.engine import Engine, Images, Watches
from roost_server.gateway.gateway import Gateway
from roost_server.operations import setup
from roost_server.operations.capacity import Capacity
from roost_server.operations.context import Context
from roost_server.operations.sessions import Sessions
from roost_server.reconcilers import replica_work
from roost_server.reconcilers.canaries import CanariesReconciler
from roost_server.reconcilers.chores import ChoresReconciler
from roost_server.reconcilers.images import ImagesReconciler, PushesReconciler
from roost_server.reconcilers.key_sets import KeySetsReconciler
from roost_server.reconcilers.loop import Loop, Reconcile
from roost_server.reconcilers.measuring import Measuring
from roost_server.reconcilers.probe import Prober
from roost_server.reconcilers.readings import Readings
from roost_server.reconcilers.replicas import ReplicasReconciler
from roost_server.reconcilers.routes import Routes
from roost_server.reconcilers.runtimes import RuntimesReconciler
from roost_server.reconcilers.scaling import Scaling
from roost_server.reconcilers.spec import Surroundings
from roost_server.reconcilers.watch import watch
from roost_server.settings import Settings
from roost_server.store import cipher, migrate, tables
from roost_server.store.store import Store, open_store

log = structlog.get_logger()

ANY = ("0.0.0.0", "::")
"""Listening on these is listening at the replicas' door too."""


@dataclass(frozen=True)
class Started:
    """What the start found out. `new_token` is set only when the admin token was made now."""

    url: str
    new_token: str | None


@dataclass(frozen=True)
class Platform:
    """The parts of one server, joined: what its API works with and what its reconcilers work with. `owner` tells its
    leases from those of other servers on the same database."""

    settings: Settings
    context: Context
    engine: Engine
    images: Images
    gateway: Gateway
    prober: Prober
    owner: str

    def background(self) -> list[Coroutine[Any, Any, None]]:
        """All that must run beside the API, each until it is cancelled."""
        readings = Readings(self.gateway)
        running = [loop.run() for loop in self._loops(readings)]
        running.append(Measuring(self.context.store, self.engine, readings, self.settings.measure_seconds).run())
        if isinstance(self.engine, Watches):
            running.append(watch(self.context.store, self.engine))
        return running

    def _loops(self, readings: Readings) -> list[Loop]:
        store, images, settings = self.context.store, self.images, self.settings
        work = replica_work.Parts(
            store,
            self.engine,
            self.gateway,
            self.prober,
            settings.drain_seconds,
            settings.stop_grace_seconds,
            self.context.cipher,
            Surroundings(self._replicas_url(), settings.domain, settings.http_port),
        )
        routes = Routes(store, self.gateway, settings.domain)
        chores = ChoresReconciler(
            store,
            self.engine,
            images,
            routes,
            Scaling(store, settings.measure_seconds, settings.scale_in_seconds),
            settings.image_keep_hours,
            settings.metrics_keep_hours,
            settings.data_dir / "uploads",
            self.context.cipher,
        )
        kinds: list[tuple[sa.Table, Reconcile, int]] = [
            (tables.runtimes, RuntimesReconciler(store, self.engine, settings.rollback_seconds), 8),
            (tables.replicas, ReplicasReconciler(work), 16),
            (tables.images, ImagesReconciler(store, images, self.context.cipher), 4),
            (tables.pushes, PushesReconciler(store, images, self.context.cipher), 2),
            (tables.key_sets, KeySetsReconciler(store), 4),
            (tables.canaries, CanariesReconciler(store, readings), 4),
            (tables.chores, chores, 4),
        ]
        return [Loop(store, *kind, owner=self.owner) for kind in kinds]

    def api(self) -> Api:
        settings = self.settings
        return Api(
            context=self.context,
            engine=self.engine,
            gateway=self.gateway,
            domain=settings.domain,
            http_port=settings.http_port,
            https_port=settings.https_port,
            uploads=settings.data_dir / "uploads",
            max_body_bytes=settings.max_body_mb << 20,
            replicas_url=self._replicas_url(),
            replicas_address=parts.host_address(self.engine),
        )

    def _replicas_url(self) -> str:
        """The API's, as replicas know it; a server is the same to them however it is moved."""
        return url_of(parts.host_address(self.engine) or self.settings.api_host, self.settings.api_port)


class Server:
    """One Roost server. `run` until cancelled or stopped by a signal; replicas and gateway keep running after it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    async def run(self, on_start: Callable[[Started], None]) -> None:
        """Start everything, call `on_start`, serve. Raises the error tree when the host cannot do it."""
        async with AsyncExitStack() as stack:
            settings = self.settings
            stack.enter_context(sole_owner(settings.data_dir, "start"))
            listeners = [stack.enter_context(_listen(settings.api_host, settings.api_port))]
            platform = await self._join(stack)
            door = parts.host_address(platform.engine)
            if door is not None and settings.api_host not in ANY:
                listeners.append(stack.enter_context(_listen(door, settings.api_port)))
            gone = platform.owner if settings.database_url else ""
            new_token = await setup.prepare(platform.context, settings.admin_token, owner=gone)
            on_start(Started(url_of(settings.api_host, settings.api_port), new_token))
            await _serve(uvicorn_of(platform.api()), listeners, platform.background())

    async def _join(self, stack: AsyncExitStack) -> Platform:
        """Open and start the parts; `stack` closes them."""
        settings = self.settings
        store = await self._open_store(stack)
        engine, images = parts.build_engine(settings)
        gateway = parts.build_gateway(settings, Sessions(store))
        await parts.start(engine)
        stack.push_async_callback(parts.close, engine)
        await gateway.start()
        stack.push_async_callback(gateway.close)
        prober = Prober(engine)
        stack.push_async_callback(prober.close)
        own_cipher = cipher.open_cipher(settings.data_dir / "secret.key")
        context = Context(store, own_cipher, _capacity(settings), settings.access_token_seconds)
        return Platform(settings, context, engine, images, gateway, prober, owner_of(settings.data_dir))

    async def _open_store(self, stack: AsyncExitStack) -> Store:
        store = open_store(self.settings.database_url or f"sqlite:///{self.settings.data_dir}/roost.db")
        stack.push_async_callback(store.close)
        await migrate.upgrade(store)
        return store


class _HttpServer(uvicorn.Server):
    """Leaves signals to us: uvicorn would raise them again after its own shutdown, before the parts are closed."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        yield

    def _stop(self) -> None:
        """The first signal lets requests end, a second one does not."""
        self.force_exit = self.should_exit
        self.should_exit = True


def application(api: Api) -> FastAPI:
    """The native API and the dialects, joined."""
    return app.build(api, [dialect.DIALECT])


def uvicorn_of(api: Api) -> uvicorn.Server:
    config = uvicorn.Config(
        application(api),
        http=EnvelopeProtocol,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=3,
        lifespan="off",
    )
    return _HttpServer(config)


async def _serve(server: uvicorn.Server, listeners: list[socket.socket], background: Sequence[Awaitable[None]]) -> None:
    """Serve until a signal comes. A background task that ends is a bug and ends the server."""
    tasks = [asyncio.ensure_future(work) for work in background]
    serving = asyncio.ensure_future(server.serve(sockets=listeners))
    try:
        done, _ = await asyncio.wait({serving, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (*tasks, serving):
            task.cancel()
        await asyncio.gather(*tasks, serving, return_exceptions=True)


def sole_owner(data_dir: Path, doing: str) -> IO[str]:
    """Hold the data directory while `doing` something, so that no two processes work on it. Raises `Conflict`."""
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = (data_dir / "server.lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise errors.Conflict(
            f"cannot {doing}: another Roost server uses the data directory {data_dir}; stop it first"
        ) from None
    return lock


def owner_of(data_dir: Path) -> str:
    """The name of the server to whom this data directory belongs, the same at every start. Made at the first."""
    path = data_dir / "server.id"
    if not path.exists():
        fresh = path.with_suffix(".new")
        fresh.write_text(secrets.token_hex(4))
        fresh.replace(path)
    return path.read_text()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise errors.Unavailable(
            f"cannot listen on {host}:{port}: {error.strerror}; free it or choose another ROOST_API_PORT"
        ) from error
    return listener


def url_of(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _capacity(settings: Settings) -> Capacity:
    if settings.engine == "simulated":
        return Capacity(cpu_cores=1e6, memory_mb=1 << 40)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Capacity(cpu_cores=os.cpu_count() or 1, memory_mb=memory >> 20)
