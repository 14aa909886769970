"""Runtime: what the server last told about it, and what can be done with it."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Literal, Self, Unpack

import httpx

from roost import calls, execs, gateway, logs, models, sse, waiting, wire
from roost.aio import effects
from roost.aio.transport import AsyncTransport
from roost.calls import Call
from roost.config import RuntimeConfig
from roost.errors import NotFoundError, UnreachableError
from roost.execs import ExecOptions
from roost.gateway import RequestOptions
from roost.logs import LogFilter
from roost.waiting import Deadline

OnChange = Callable[["AsyncRuntime"], None]


class AsyncRuntime(models.RuntimeState):
    """Its fields are as of the last answer; `refresh` asks again. Methods address it by id, so a new runtime of the
    same name is never touched by mistake.
    """

    def __init__(self, transport: AsyncTransport, state: models.RuntimeState) -> None:
        self._transport = transport
        self._take(state)

    def _take(self, state: models.RuntimeState) -> Self:
        self.__dict__.update(vars(state))
        return self

    def _path(self, *parts: str) -> str:
        return calls.path("runtimes", self.id, *parts)

    async def _ask(self, call: Call) -> Self:
        return self._take(await self._transport.read(models.RuntimeState, call))

    async def refresh(self, *, wait: float = 0.0) -> Self:
        """Ask how it stands; with `wait`, as soon as it has settled or after that many seconds."""
        return await self._ask(calls.get(self._path(), wait=wait))

    async def wait(self, timeout: float | None = 240.0, *, on_change: OnChange | None = None) -> Self:
        """Wait until it has settled (active, stopped, paused, suspended).

        `on_change` is called after every look at it. Raises `RuntimeFailed` when it is in `error`, `WaitTimeout`.
        """
        return await self.settle(Deadline(timeout, watched=on_change is not None), on_change)

    async def settle(self, deadline: Deadline, on_change: OnChange | None = None) -> Self:
        """`wait` until a deadline that began earlier."""
        while True:
            if on_change is not None:
                on_change(self)
            if waiting.runtime_is_settled(self, deadline):
                return self
            await self.refresh(wait=deadline.slice())

    async def _bring_to(self, verb: str, wait: bool, timeout: float | None, on_change: OnChange | None) -> Self:
        deadline = Deadline(timeout, watched=on_change is not None)
        await self._ask(calls.verb(self._path(verb), wait=deadline.slice() if wait else 0.0))
        return await self.settle(deadline, on_change) if wait else self

    async def start(
        self, *, wait: bool = True, timeout: float | None = 240.0, on_change: OnChange | None = None
    ) -> Self:
        """Bring it up again; a failed one tries again at once. Raises `RuntimeFailed`, `WaitTimeout`."""
        return await self._bring_to("start", wait, timeout, on_change)

    async def stop(
        self, *, wait: bool = True, timeout: float | None = 240.0, on_change: OnChange | None = None
    ) -> Self:
        """Stop its replicas; configuration, endpoints and logs are kept. Raises `WaitTimeout`."""
        return await self._bring_to("stop", wait, timeout, on_change)

    async def delete(
        self, *, wait: bool = True, timeout: float | None = 240.0, expected_revision: int | None = None
    ) -> None:
        """Remove it with all that belongs to it. Raises `ConflictError` for a stale revision, `WaitTimeout`."""
        deadline = Deadline(timeout)
        await self._transport.send(calls.delete(self._path(), expected_revision=expected_revision))
        while wait:
            try:
                await self.refresh(wait=deadline.slice())
            except NotFoundError:
                return
            waiting.runtime_is_still_there(self, deadline)

    async def describe(self, description: str, *, expected_revision: int | None = None) -> Self:
        """Change the description. Raises `ConflictError` for a stale revision."""
        headers = calls.if_match(expected_revision)
        return await self._ask(Call("PATCH", self._path(), json={"description": description}, headers=headers))

    async def exec(
        self, command: str | Sequence[str], *, timeout: float = execs.DEFAULT_SECONDS, **options: Unpack[ExecOptions]
    ) -> models.ExecResult:
        """Run one command in a replica and return all its output. A text goes through `sh -lc`.

        A command that fails is a result, not an exception. Raises `ConflictError` when no replica runs.
        """
        return await self._transport.read(models.ExecResult, execs.call(self._path("exec"), command, timeout, options))

    async def get_config(self) -> RuntimeConfig:
        """The latest version's configuration, complete but for passwords."""
        answer: dict[str, RuntimeConfig] = (await self._transport.send(calls.get(self._path("config")))).json()
        return answer["config"]

    async def put_config(
        self,
        config: RuntimeConfig,
        *,
        expected_revision: int | None = None,
        wait: bool = True,
        timeout: float | None = 240.0,
        on_change: OnChange | None = None,
    ) -> Self:
        """Replace the configuration: what is left out returns to its default. Always makes a new version.

        Raises `ValidationError`, `ConflictError` for a stale revision, `RuntimeFailed`, `WaitTimeout`.
        """
        deadline = Deadline(timeout, watched=on_change is not None)
        headers = calls.if_match(expected_revision)
        await self._transport.send(Call("PUT", self._path("config"), json={"config": config}, headers=headers))
        await self.refresh()
        return await self.settle(deadline, on_change) if wait else self

    async def list_replicas(self) -> list[models.Replica]:
        """Its replicas, oldest first."""
        return [one async for one in self._transport.items(models.Replica, calls.get(self._path("replicas")))]

    def list_versions(self) -> AsyncIterator[models.Version]:
        """Its versions, newest first."""
        return self._transport.items(models.Version, calls.get(self._path("versions"), limit=100))

    def list_events(self) -> AsyncIterator[models.Event]:
        """What happened, newest first."""
        return self._transport.items(models.Event, calls.get(self._path("events"), limit=100))

    async def image(self) -> models.Image:
        """The image of its latest version."""
        answer = (await self._transport.send(calls.get(self._path("versions"), limit=1))).json()
        image_id = answer["items"][0]["image_id"]
        return await self._transport.read(models.Image, calls.get(calls.path("images", image_id)))

    async def log_page(
        self,
        *,
        order: Literal["asc", "desc"] = "asc",
        limit: int = 100,
        cursor: str | None = None,
        **wanted: Unpack[LogFilter],
    ) -> models.LogPage:
        """Up to 1000 lines; `next_cursor` continues."""
        return await self._transport.read(models.LogPage, logs.page(self._path("logs"), wanted, order, limit, cursor))

    def logs(
        self, *, order: Literal["asc", "desc"] = "asc", **wanted: Unpack[LogFilter]
    ) -> AsyncIterator[models.LogLine]:
        """All lines that match, fetched page by page. `order="desc"` begins with the newest."""
        call = logs.page(self._path("logs"), wanted, order, logs.PAGE)
        return self._transport.items(models.LogLine, call)

    async def follow_logs(self, **wanted: Unpack[LogFilter]) -> AsyncIterator[models.LogLine]:
        """New lines as they are written, until the runtime is deleted; with `since`, older ones first.

        A broken connection is taken up again where it broke. Raises `UnreachableError` when that does not succeed.
        """
        last_id, breaks = None, 0
        while breaks <= logs.RECONNECTS:
            decoder = sse.Decoder(last_id)
            try:
                async with self._transport.stream(logs.follow(self._path("logs"), wanted, last_id)) as response:
                    async for chunk in response.aiter_bytes():
                        breaks = 0
                        for event in decoder.feed(chunk):
                            yield wire.decode(models.LogLine, json.loads(event.data))
            except UnreachableError:
                if breaks == logs.RECONNECTS:
                    raise
            except NotFoundError:
                if last_id is None and decoder.last_id is None:
                    raise
                return
            last_id, breaks = decoder.last_id, breaks + 1
            await effects.sleep(breaks)

    async def call(
        self,
        method: str,
        path: str = "/",
        *,
        timeout: float = 300.0,
        exposed_port: int | None = None,
        **options: Unpack[RequestOptions],
    ) -> httpx.Response:
        """Send a request to the agent through the gateway and return its whole answer, whatever its status.

        Raises `UnreachableError` when nothing answers.
        """
        async with self.stream(method, path, timeout=timeout, exposed_port=exposed_port, **options) as response:
            await response.aread()
        return response

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str = "/",
        *,
        timeout: float = 300.0,
        exposed_port: int | None = None,
        **options: Unpack[RequestOptions],
    ) -> AsyncIterator[httpx.Response]:
        """Like `call`, but the answer is read while it comes: `async for chunk in response.aiter_bytes()`.

        `timeout` is the longest silence in seconds.
        """
        pool, api_url = self._transport.gateway, self._transport.connection.url
        url = gateway.url_of(self, exposed_port)
        request = gateway.request(pool, url, api_url, method, path, options, timeout)
        try:
            response = await pool.send(request, stream=True)
            try:
                yield response
            finally:
                await response.aclose()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise gateway.failed(error, self) from error

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {self.status} {self.url}>"
