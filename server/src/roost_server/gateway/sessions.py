"""Where Envoy asks to which version a session belongs: a small HTTP server on a unix socket.

`POST /<endpoint id>?weights=3:75,4:25&keeps=2` with the session id as body is answered with the version's number. Envoy
remembers the answer, and decides by itself when there is none in time. `guess=3` says what it decided before, or was
told long ago: that counts unless something else is remembered here.

`POST /<endpoint id>?serves=2` says that the session was served by this version while no other one served the endpoint.
Envoy waits for no answer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qs

import structlog
import uvicorn

from roost_server.domain import errors, sessions

ANSWER_SECONDS, STOP_SECONDS = 1.0, 1
"""Envoy need not wait so long: what is decided too late for this request is known for the next one."""

log = structlog.get_logger(__name__)


class Keeper(Protocol):
    """Knows to which version sessions belong."""

    async def assign(self, endpoint_id: str, session: str, weights: dict[int, int], keeps: set[int]) -> int:
        """The session's version. `weights` are percent of new sessions by version, `keeps` the versions that keep
        theirs. Raises of the error tree when there is none."""

    def note(self, endpoint_id: str, session: str, version: int) -> None:
        """The session was served by this version, which served the endpoint alone."""


class ByHash:
    """Remembers nothing: the version depends on the weights of the moment."""

    async def assign(self, endpoint_id: str, session: str, weights: dict[int, int], keeps: set[int]) -> int:
        return sessions.choose(session, weights)

    def note(self, endpoint_id: str, session: str, version: int) -> None:
        pass


class Question(NamedTuple):
    endpoint_id: str
    session: str
    weights: dict[int, int]
    keeps: set[int]


class SessionsServer:
    """`start` listens in place of a server that is gone, or raises OSError; `close` ends it and may be called twice."""

    def __init__(self, path: Path, keeper: Keeper, answer_seconds: float = ANSWER_SECONDS) -> None:
        self._path = path
        self._keeper = keeper
        self._answer_seconds = answer_seconds
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._path.unlink(missing_ok=True)
        config = uvicorn.Config(
            self._serve,
            uds=str(self._path),
            interface="asgi3",
            proxy_headers=False,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve())
        await self._server.settled.wait()
        if not self._server.started:
            await self._serving
        self._path.chmod(0o600)

    async def close(self) -> None:
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await self._serving
            self._server = self._serving = None

    async def _serve(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        """The ASGI application. Envoy goes on without an answer, so that there is none is nothing to report."""
        body = await _body(receive)
        if body is None:
            return
        try:
            async with asyncio.timeout(self._answer_seconds):
                status, text = 200, await self._answer(scope["path"], scope["query_string"], body)
        except (errors.RoostError, ValueError, TimeoutError) as error:
            log.debug("cannot tell a session's version", path=scope["path"], error=repr(error))
            status, text = errors.Unavailable.code, "none"
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": text.encode()})

    async def _answer(self, path: str, query: bytes, body: bytes) -> str:
        if (version := serves(query)) is not None:
            self._keeper.note(path.removeprefix("/"), body.decode("latin-1"), version)
            return str(version)
        return str(await self._keeper.assign(*read(path, query, body)))


def serves(query: bytes) -> int | None:
    """The version that Envoy says to serve alone, if it says so. Raises ValueError."""
    said = parse_qs(query.decode()).get("serves")
    return int(said[0]) if said else None


def read(path: str, query: bytes, body: bytes) -> Question:
    """What Envoy asks. A guess is asked as if all weight were its own and every version kept its sessions, so that only
    what is remembered goes before it. Raises ValueError."""
    values = parse_qs(query.decode())
    weights = {int(version): int(weight) for version, weight in _pairs(values.get("weights", [""])[0])}
    keeps = {int(version) for version in values.get("keeps", [""])[0].split(",") if version}
    if guess := values.get("guess"):
        weights, keeps = {int(guess[0]): 100}, keeps | weights.keys()
    return Question(path.removeprefix("/"), body.decode("latin-1"), weights, keeps)


def told(weights: Mapping[int, int], keeps: set[int]) -> tuple[str, str]:
    """Weights and keeping versions as `read` reads them."""
    return (
        ",".join(f"{version}:{weight}" for version, weight in sorted(weights.items())),
        ",".join(str(version) for version in sorted(keeps)),
    )


def _pairs(text: str) -> Iterator[list[str]]:
    return (pair.split(":") for pair in text.split(",") if pair)


async def _body(receive: Callable[[], Awaitable[Any]]) -> bytes | None:
    """None when Envoy has hung up: what it asked is not known then."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


class _Server(uvicorn.Server):
    """Leaves signals to the program, and says when it listens or cannot."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.settled = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: Any = None) -> None:
        try:
            await super().startup(sockets)
        finally:
            self.settled.set()
