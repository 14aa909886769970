"""An issuer of tokens: a real server on the loopback address that publishes its keys, or does not."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

KEYS = json.dumps({"keys": [{"kid": "1", "kty": "OKP"}]})
ROTATED = json.dumps({"keys": [{"kid": "2", "kty": "OKP"}]})


@dataclass
class Issuer:
    """Answers with what is set; `asked` are the paths."""

    port: int = 0
    status: int = 200
    bodies: dict[str, str] = field(default_factory=lambda: {"/keys": KEYS})
    headers: str = ""
    silent: bool = False
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            path = head.split(" ")[1]
            self.asked.append(path)
            if self.silent:
                await reader.read()
            body = self.bodies.get(path, "").encode()
            head = f"HTTP/1.1 {self.status} X\r\n{self.headers}content-length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            self.asked.append("gone")
        finally:
            writer.close()


@asynccontextmanager
async def serving() -> AsyncIterator[Issuer]:
    made = Issuer()
    server = await asyncio.start_server(made.answer, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
