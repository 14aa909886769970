"""Small agents for the gateway to lead to: real servers on 127.0.0.1, each doing one thing."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc


@dataclass
class Exchange:
    """One HTTP/1.1 request and the means to answer it piece by piece. `fields` are its headers as they came, also
    those that came twice."""

    method: str
    path: str
    headers: dict[str, str]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    fields: tuple[tuple[str, str], ...] = ()

    async def body(self) -> bytes:
        """The whole body, plain or chunked."""
        if self.headers.get("transfer-encoding") == "chunked":
            return b"".join([piece async for piece in self.pieces()])
        return await self.reader.readexactly(int(self.headers.get("content-length", "0")))

    async def pieces(self) -> AsyncIterator[bytes]:
        """The chunks of a chunked body as they arrive."""
        while size := int(await self.reader.readline(), 16):
            yield await self.reader.readexactly(size)
            await self.reader.readline()
        await self.reader.readline()

    async def answer(self, status: int = 200, body: bytes = b"", **headers: str) -> None:
        await self.begin(status, **{"content-length": str(len(body)), **headers})
        await self.write(body)

    async def begin(self, status: int = 200, **headers: str) -> None:
        lines = [
            f"HTTP/1.1 {status} Whatever",
            *(f"{key.replace('_', '-')}: {value}" for key, value in headers.items()),
        ]
        await self.write("\r\n".join([*lines, "", ""]).encode())

    async def chunk(self, piece: bytes) -> None:
        await self.write(b"%x\r\n%b\r\n" % (len(piece), piece))

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()


Answer = Callable[[Exchange], Awaitable[None]]


@dataclass
class Agent:
    """A running upstream. `connections` counts those that were opened to it."""

    port: int
    address: str = "127.0.0.1"
    connections: int = 0
    served: int = 0
    writers: set[asyncio.StreamWriter] = field(default_factory=set)
    server: asyncio.Server | None = None

    def die(self) -> None:
        """As a process that is killed: no listener, every connection reset."""
        assert self.server is not None
        self.server.close()
        for writer in list(self.writers):
            writer.transport.abort()


@asynccontextmanager
async def agent(answer: Answer, address: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Agent]:
    """An HTTP/1.1 server with keep-alive that answers with `answer`."""
    running = Agent(port, address)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.connections += 1
        running.writers.add(writer)
        try:
            while exchange := await _read(reader, writer):
                await answer(exchange)
                running.served += 1
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            running.writers.discard(writer)
            writer.close()

    running.server = await asyncio.start_server(serve, address, port)
    running.port = running.server.sockets[0].getsockname()[1]
    try:
        yield running
    finally:
        running.die()


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Exchange | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *rest = head.rstrip().split("\r\n")
    method, path, _ = first.split(" ")
    fields = tuple((key.lower(), value.strip()) for key, _, value in (line.partition(":") for line in rest))
    return Exchange(method, path, dict(fields), reader, writer, fields)


async def echo(exchange: Exchange) -> None:
    """Answers with what it saw."""
    body = await exchange.body()
    seen = {"method": exchange.method, "path": exchange.path, "headers": exchange.headers, "body": body.decode()}
    await exchange.answer(body=json.dumps(seen).encode())


def named(name: str) -> Answer:
    """Answers with its name."""

    async def answer(exchange: Exchange) -> None:
        await exchange.body()
        await exchange.answer(body=name.encode())

    return answer


class Held:
    """Answers only when told to; `arrived` counts requests, `left` clients that went away before."""

    def __init__(self) -> None:
        self.arrived = 0
        self.left = 0
        self.go = asyncio.Event()

    async def __call__(self, exchange: Exchange) -> None:
        self.arrived += 1
        await exchange.body()
        gone = asyncio.create_task(exchange.reader.read(1))
        go = asyncio.create_task(self.go.wait())
        done, waiting = await asyncio.wait({gone, go}, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        if gone in done:
            self.left += 1
            raise ConnectionResetError
        await exchange.answer(body=b"held")


@asynccontextmanager
async def grpc_agent() -> AsyncIterator[Agent]:
    """A gRPC server that sends every message of a stream back in upper case."""

    async def shout(requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request.upper()

    handlers = {"Shout": grpc.stream_stream_rpc_method_handler(shout)}
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Agent", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield Agent(port)
    finally:
        await server.stop(grace=0)
