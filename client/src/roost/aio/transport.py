"""Transport: sends calls to the API, again where that is right, and turns error answers into exceptions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

import httpx

from roost import errors, http, retries, wire
from roost.aio import effects
from roost.calls import Call
from roost.settings import Connection

T = TypeVar("T")


class AsyncTransport:
    """One connection pool. `timeout` is the ordinary patience in seconds, `retries` how often is tried again."""

    def __init__(self, connection: Connection, timeout: float, retries: int) -> None:
        self.connection = connection
        self._timeout = timeout
        self._retries = retries
        self._http = httpx.AsyncClient(**http.options(connection, timeout))
        self._gateway: httpx.AsyncClient | None = None

    async def aclose(self) -> None:
        await self._http.aclose()
        if self._gateway is not None:
            await self._gateway.aclose()

    @property
    def gateway(self) -> httpx.AsyncClient:
        """The pool for calls to runtimes."""
        if self._gateway is None:
            self._gateway = httpx.AsyncClient(**http.gateway_options(self.connection))
        return self._gateway

    async def read(self, kind: type[T], call: Call) -> T:
        """The answer as a `kind`. Raises `ApiError`, `UnreachableError`."""
        return wire.decode(kind, http.json_of(await self.send(call)))

    async def items(self, kind: type[T], call: Call) -> AsyncIterator[T]:
        """All items of a list, page after page, as they are asked for."""
        cursor = None
        while True:
            params = {**call.params, "cursor": cursor} if cursor else call.params
            page = http.json_of(await self.send(Call(call.method, call.path, params, repeatable=True)))
            for item in page.get("items", []):
                yield wire.decode(kind, item)
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    async def send(self, call: Call) -> httpx.Response:
        """The answer, read whole. Raises `ApiError`, `UnreachableError`."""
        response = await self._open(call)
        try:
            await response.aread()
        except httpx.HTTPError as error:
            raise http.unreachable(error, self.connection.url) from error
        finally:
            await response.aclose()
        return response

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncIterator[httpx.Response]:
        """The answer while it comes. Raises `ApiError`, `UnreachableError`."""
        response = await self._open(call)
        try:
            yield response
        except httpx.HTTPError as error:
            raise http.unreachable(error, self.connection.url) from error
        finally:
            await response.aclose()

    async def _open(self, call: Call) -> httpx.Response:
        attempt = 0
        while True:
            try:
                response = await self._http.send(self._request(call), stream=True)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                reached = not isinstance(error, http.NEVER_REACHED)
                pause = retries.delay_after_break(call, attempt, self._retries, reached=reached)
                if pause is None:
                    raise http.unreachable(error, self.connection.url) from error
            else:
                status, told = response.status_code, response.headers.get("retry-after")
                pause = retries.delay_after_status(call, attempt, self._retries, status, told)
                if pause is None:
                    return await self._accept(response)
                await response.aclose()
            await effects.sleep(pause)
            attempt += 1

    def _request(self, call: Call) -> httpx.Request:
        arguments = http.request_arguments(call, self._timeout)
        if call.body is not None:
            arguments["content"] = effects.chunks(call.body)
        return self._http.build_request(**arguments)

    async def _accept(self, response: httpx.Response) -> httpx.Response:
        if response.is_success:
            return response
        try:
            await response.aread()
        except httpx.HTTPError as error:
            raise http.unreachable(error, self.connection.url) from error
        finally:
            await response.aclose()
        raise errors.from_response(response.status_code, response.content, response.headers)
