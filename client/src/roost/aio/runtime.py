"""Runtime: what the server last told about it, and what can be done with it."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Literal, Self, Unpack

import httpx

from roost import calls, execs, gateway, logs, models, sse, waiting, wire
from roost.aio import effects
from roost.aio.accounts import AsyncAccounts
from roost.aio.canaries import AsyncCanaries
from roost.aio.endpoints import AsyncEndpoints
from roost.aio.handle import OnChange
from roost.aio.measurements import AsyncMeasurements
from roost.aio.versions import AsyncVersions
from roost.calls import Call
from roost.errors import NotFoundError, RoostError, UnreachableError
from roost.execs import ExecOptions
from roost.gateway import RequestOptions
from roost.logs import LogFilter
from roost.waiting import Deadline


class AsyncRuntime(AsyncVersions, AsyncEndpoints, AsyncCanaries, AsyncAccounts, AsyncMeasurements):
    """A runtime. Its fields are as of the last answer; `refresh` asks again."""

    async def start(
        self, *, wait: bool = True, timeout: float | None = 240.0, on_change: OnChange[Self] | None = None
    ) -> Self:
        """Bring it up again; a failed one tries again at once. Raises `RuntimeFailed`, `WaitTimeout`."""
        return await self._bring_to("start", wait, timeout, on_change)

    async def stop(
        self, *, wait: bool = True, timeout: float | None = 240.0, on_change: OnChange[Self] | None = None
    ) -> Self:
        """Stop its replicas; configuration, endpoints and logs are kept. Raises `WaitTimeout`."""
        return await self._bring_to("stop", wait, timeout, on_change)

    async def restart(
        self, *, wait: bool = True, timeout: float | None = 240.0, on_change: OnChange[Self] | None = None
    ) -> Self:
        """Replace every replica by a new one of the latest version, without downtime; a stopped one is started.

        Raises `RuntimeFailed`, `WaitTimeout`.
        """
        return await self._bring_to("restart", wait, timeout, on_change)

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

    async def list_replicas(self) -> list[models.Replica]:
        """Its replicas, oldest first."""
        return [one async for one in self._transport.items(models.Replica, calls.get(self._path("replicas")))]

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
        return await self._transport.read(models.LogPage, logs.page(self._path(), wanted, order, limit, cursor))

    def logs(
        self, *, order: Literal["asc", "desc"] = "asc", **wanted: Unpack[LogFilter]
    ) -> AsyncIterator[models.LogLine]:
        """All lines that match, fetched page by page. `order="desc"` begins with the newest."""
        call = logs.page(self._path(), wanted, order, logs.PAGE)
        return self._transport.items(models.LogLine, call)

    async def follow_logs(self, **wanted: Unpack[LogFilter]) -> AsyncIterator[models.LogLine]:
        """New lines as they are written, until the runtime is deleted; with `since`, older ones first.

        A broken connection is taken up again where it broke. Raises `UnreachableError` when that does not succeed.
        """
        last_id, breaks = None, 0
        while breaks <= logs.RECONNECTS:
            decoder = sse.Decoder(last_id)
            try:
                async with self._transport.stream(logs.follow(self._path(), wanted, last_id)) as response:
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
        endpoint: str | None = None,
        **options: Unpack[RequestOptions],
    ) -> httpx.Response:
        """Send a request to the agent through the gateway and return its whole answer, whatever its status.

        `endpoint` is another one than the default, by name or id. Raises `UnreachableError` when nothing answers,
        `NotFoundError` for an unknown endpoint.
        """
        async with self.stream(
            method, path, timeout=timeout, exposed_port=exposed_port, endpoint=endpoint, **options
        ) as response:
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
        endpoint: str | None = None,
        **options: Unpack[RequestOptions],
    ) -> AsyncIterator[httpx.Response]:
        """Like `call`, but the answer is read while it comes: `async for chunk in response.aiter_bytes()`.

        `timeout` is the longest silence in seconds.
        """
        pool, api_url = self._transport.gateway, self._transport.connection.url
        url = await self._url(exposed_port, endpoint)
        request = gateway.request(pool, url, api_url, method, path, options, timeout)
        try:
            response = await pool.send(request, stream=True)
            try:
                yield response
            finally:
                await response.aclose()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise gateway.failed(error, self.name, url) from error

    async def _url(self, exposed_port: int | None, endpoint: str | None) -> str:
        if endpoint is None:
            return gateway.url_of(self, exposed_port)
        if exposed_port is not None:
            raise RoostError("cannot call a further port of one endpoint: exposed ports belong to the default one")
        known = (one.url for one in self.endpoints if endpoint in (one.name, one.id))
        return next(known, None) or (await self.get_endpoint(endpoint)).url
