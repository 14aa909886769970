"""The gRPC server from which Envoy gets its configuration, on a unix socket.

One bidirectional stream carries everything (ADS, incremental). Until the first `want` nothing is answered, so that
an Envoy that was left running keeps serving what it has. What to send is decided by `delta.Session`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import structlog
from envoy.service.discovery.v3 import discovery_pb2

from roost_server.domain import errors
from roost_server.gateway import delta
from roost_server.gateway.resources.secrets import SECRET
from roost_server.gateway.resources.wire import Resource

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
METHOD = "DeltaAggregatedResources"

log = structlog.get_logger(__name__)

MakeSecret = Callable[[str], Resource | None]


class Connection:
    """One Envoy's stream: its session, and the signal that there may be something to send."""

    def __init__(self) -> None:
        self.session = delta.Session()
        self.woken = asyncio.Event()


class XdsServer:
    """`make_secret` is asked for a certificate that Envoy wants and that is not in the catalog."""

    def __init__(self, path: Path, make_secret: MakeSecret = lambda name: None) -> None:
        self._path = path
        self._make_secret = make_secret
        self._wanted: delta.Catalog | None = None
        self._current: Connection | None = None
        self._progress = asyncio.Condition()
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        """Listen, in place of a server that is gone."""
        self._path.unlink(missing_ok=True)
        self._server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers((_handler(self._stream),))
        self._server.add_insecure_port(f"unix:{self._path}")
        await self._server.start()
        self._path.chmod(0o600)

    async def close(self) -> None:
        """End the stream; Envoy keeps what it has and looks for the next server."""
        if self._server is not None:
            server, self._server = self._server, None
            await server.stop(grace=0)

    async def want(self, catalog: delta.Catalog) -> None:
        """Make `catalog` what Envoy shall have, now or when it connects."""
        self._wanted = catalog
        if self._current is not None:
            self._current.session.want(catalog)
            self._current.woken.set()
        await self._notify()

    async def connected(self, seconds: float) -> bool:
        """Whether an Envoy is there within `seconds`."""
        return await self._reached(lambda: self._current is not None, seconds)

    async def confirmed(self, seconds: float) -> None:
        """Return when Envoy has confirmed what is wanted. Raises `Unavailable` if it refused it or is late."""
        done = self._settled() or await self._reached(lambda: self._settled() or bool(self._refusals()), seconds)
        if self._refusals():
            raise _refused(self._refusals())
        if not done:
            raise self._late(seconds)

    async def _reached(self, condition: Callable[[], bool], seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._progress:
                await self._progress.wait_for(condition)
        return condition()

    def _settled(self) -> bool:
        if self._wanted is None or self._current is None:
            return False
        return self._current.session.serves(self._wanted)

    def _refusals(self) -> dict[str, str]:
        return {} if self._current is None else self._current.session.refusals()

    def _late(self, seconds: float) -> errors.Unavailable:
        if self._current is None:
            return errors.Unavailable(
                "cannot reach the gateway: Envoy is not connected; look into logs/envoy.log in the data directory"
            )
        return errors.Unavailable(f"cannot confirm the routes: Envoy did not answer within {seconds:g} seconds")

    async def _notify(self) -> None:
        async with self._progress:
            self._progress.notify_all()

    async def _stream(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[bytes]:
        connection = self._current = Connection()
        if self._wanted is not None:
            connection.session.want(self._wanted)
        await self._notify()
        reader = asyncio.create_task(self._read(requests, connection))
        try:
            async for message in self._responses(connection, reader):
                yield message
        finally:
            reader.cancel()
            self._leave(connection)

    async def _responses(self, connection: Connection, reader: asyncio.Task[None]) -> AsyncIterator[bytes]:
        reader.add_done_callback(lambda _: connection.woken.set())
        while not reader.done():
            connection.woken.clear()
            while (response := self._next(connection)) is not None:
                yield response.encode()
            await connection.woken.wait()

    def _next(self, connection: Connection) -> delta.Response | None:
        self._add_secrets(connection.session)
        return connection.session.next_response()

    def _add_secrets(self, session: delta.Session) -> None:
        """Certificates that Envoy asks for and nobody had before."""
        made = {name: made for name in session.missing(SECRET) if (made := self._make_secret(name))}
        if made and self._wanted is not None:
            self._wanted = {**self._wanted, SECRET: {**self._wanted[SECRET], **made}}
            session.want(self._wanted)

    async def _read(self, requests: AsyncIterator[Any], connection: Connection) -> None:
        async for request in requests:
            if request.HasField("error_detail"):
                log.error("envoy refused configuration", kind=request.type_url, detail=request.error_detail.message)
            connection.session.read(request)
            connection.woken.set()
            await self._notify()

    def _leave(self, connection: Connection) -> None:
        if self._current is connection:
            self._current = None


def _refused(refusals: dict[str, str]) -> errors.Unavailable:
    name, why = next(iter(refusals.items()))
    return errors.Unavailable(f'cannot publish to the gateway: Envoy refused "{name}": {why}', detail=str(refusals))


def _handler(stream: Callable[..., AsyncIterator[bytes]]) -> grpc.GenericRpcHandler:
    """Responses are bytes already."""
    method = grpc.stream_stream_rpc_method_handler(
        stream,
        request_deserializer=discovery_pb2.DeltaDiscoveryRequest.FromString,
        response_serializer=None,
    )
    return grpc.method_handlers_generic_handler(SERVICE, {METHOD: method})
