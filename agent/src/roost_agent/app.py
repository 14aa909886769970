"""The app: what an agent declares, and the two paths that Roost and its callers use.

    app = App()

    @app.entrypoint
    def answer(payload):
        return {"message": f"Hello, {payload['name']}!"}

    app.run()

It is an ASGI application, so any ASGI server or test client can drive it too.
"""

import logging
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import wraps
from typing import Any, ParamSpec, TypeVar, overload

from roost_agent import asgi, context, entrypoint, errors, invocation, server
from roost_agent.asgi import Asgi, Receive, Scope, Send
from roost_agent.background import Background
from roost_agent.check import Check, Health
from roost_agent.context import RequestContext
from roost_agent.health import Board, Task
from roost_agent.invocation import Invocations
from roost_agent.threads import Threads

log = logging.getLogger("roost_agent")

P = ParamSpec("P")
H = TypeVar("H", bound=Callable[..., Any])
C = TypeVar("C", bound=Check)
Lifespan = Callable[["App"], AbstractAsyncContextManager[object]]

METHODS = {"/health": ("GET", "HEAD"), "/invocations": ("POST",)}


class App:
    """One agent.

    `debug` shows exceptions to callers. `lifespan(app)` gives an async context manager held while the app runs.
    `sync_workers` is how many handlers that are not async run at once.
    """

    def __init__(
        self,
        *,
        debug: bool = False,
        lifespan: Lifespan | None = None,
        max_body_mb: int = 64,
        sync_workers: int = 64,
    ) -> None:
        self._board = Board()
        self._threads = Threads(sync_workers, self._board)
        self._background = Background(self._board, self._threads)
        self._health = Health(self._board)
        self._invocations = Invocations(self._board, self._threads, max_body_mb * 2**20, debug)
        self._lifespan = lifespan
        self._mounted: Asgi | None = None
        self._server: server.Server | None = None

    @overload
    def entrypoint(self, handler: H, /) -> H: ...
    @overload
    def entrypoint(self, /, *, requires: tuple[str, ...] = ()) -> Callable[[H], H]: ...
    def entrypoint(self, handler: H | None = None, /, *, requires: tuple[str, ...] = ()) -> H | Callable[[H], H]:
        """Declare what answers `POST /invocations`: `handler(payload)` or `handler(payload, context)`.

        It may be async, and may return a JSON value or (as a generator) a stream of them. A request without one of
        `requires` (`"user_id"`, `"session_id"`, `"request_id"`) is refused with 400.
        """

        def declare(function: H) -> H:
            self._invocations.declared = entrypoint.declare(function, requires)
            return function

        return declare if handler is None else declare(handler)

    def health(self, check: C) -> C:
        """Declare what `GET /health` asks: True or None (as the running work says), False or an exception
        (`Unhealthy`, 503), a status, or a dict of further fields to show."""
        self._health.check = check
        return check

    def task(self, name: str) -> Task:
        """`async with app.task("index"):` (or `with`): `HealthyBusy` inside the block."""
        return Task(self._board, name)

    def add_task(self, name: str) -> str:
        """`HealthyBusy` until `complete_task` gets the id given back."""
        return self._board.add(name)

    def complete_task(self, task_id: str) -> bool:
        """End what `add_task` began. False when it had ended already."""
        return self._board.complete(task_id)

    def background_task(self, function: Callable[P, object]) -> Callable[P, str]:
        """Make calling `function` start it in the background and answer a task id at once.

        The agent is `HealthyBusy` while it runs. A stop waits for it, within the grace. Its failure is logged.
        """

        @wraps(function)
        def start(*args: P.args, **kwargs: P.kwargs) -> str:
            return self._background.start(getattr(function, "__name__", "task"), function, *args, **kwargs)

        return start

    def mount(self, other: Asgi) -> None:
        """Let another ASGI application answer every other path. Its lifespan is yours to hold, in `lifespan`."""
        self._mounted = other

    def run(self, host: str = "0.0.0.0", port: int = 8080) -> None:
        """Serve until SIGTERM or SIGINT, then finish what is under way and return."""

        def keep(started: server.Server) -> None:
            self._server = started

        server.serve(self, host, port, keep)
        if unfinished := self._threads.unfinished + self._health.unfinished:
            log.warning("left unfinished threads=%d", unfinished)
            server.leave_at_once()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http" and self._owns(scope):
            await self._answer(scope, receive, send)
        elif self._mounted is not None:
            await self._mounted(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    def _owns(self, scope: Scope) -> bool:
        return self._mounted is None or _path(scope) in METHODS

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._background.attach()
        request = context.read(asgi.headers_of(scope))
        headers = {"x-request-id": request.request_id}
        try:
            await self._route(scope, request, receive, send)
        except asgi.Disconnected:
            log.info("caller left before the end of its request request_id=%s", request.request_id)
        except errors.MethodNotAllowed as error:
            await asgi.send_error(send, error, {**headers, "allow": ", ".join(METHODS[_path(scope)])})
        except Exception as error:  # noqa: BLE001 explain() logs it
            explained = invocation.explain(error, request, self._invocations.debug)
            await asgi.send_error(send, explained, headers)

    async def _route(self, scope: Scope, request: RequestContext, receive: Receive, send: Send) -> None:
        path, method = _path(scope), scope["method"]
        if path not in METHODS:
            raise errors.NotFound(f"cannot find {path}: this agent answers GET /health and POST /invocations")
        if method not in METHODS[path]:
            raise errors.MethodNotAllowed(f"cannot {method} {path}: use {METHODS[path][0]}")
        if path == "/health":
            status, body = await self._health.report()
            await asgi.send_json(send, status, body, {"x-request-id": request.request_id})
        else:
            await self._invocations.answer(request, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        """The ASGI lifespan: the user's own around everything, and time for background work at the end."""
        phase = "startup"
        await receive()
        try:
            async with nullcontext() if self._lifespan is None else self._lifespan(self):
                self._background.attach()
                await send({"type": "lifespan.startup.complete"})
                phase = "shutdown"
                await receive()
                await self._background.finish(self._stop_by())
        except Exception as error:
            log.exception("lifespan failed phase=%s", phase)
            await send({"type": f"lifespan.{phase}.failed", "message": str(error)})
        else:
            await send({"type": "lifespan.shutdown.complete"})

    def _stop_by(self) -> float:
        asked = self._server.stop_by if self._server else None
        return asked or time.monotonic() + server.grace_seconds()


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")) or "/"
