# Generated from aio/transport.py by client/scripts/make_sync.py; change that file instead.
"""Transport: sends calls to the API, again where that is right, and turns error answers into exceptions."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import httpx

from roost import effects, errors, http, retries, wire
from roost.calls import Call
from roost.settings import Connection

T = TypeVar("T")


class Transport:
    """One connection pool. `timeout` is the ordinary patience in seconds, `retries` how often is tried again."""

    def __init__(self, connection: Connection, timeout: float, retries: int) -> None:
        self.connection = connection
        self._timeout = timeout
        self._retries = retries
        self._http = httpx.Client(**http.options(connection, timeout))
        self._gateway: httpx.Client | None = None

    def close(self) -> None:
        self._http.close()
        if self._gateway is not None:
            self._gateway.close()

    @property
    def gateway(self) -> httpx.Client:
        """The pool for calls to runtimes."""
        if self._gateway is None:
            self._gateway = httpx.Client(**http.gateway_options(self.connection))
        return self._gateway

    def read(self, kind: type[T], call: Call) -> T:
        """The answer as a `kind`. Raises `ApiError`, `UnreachableError`."""
        return wire.decode(kind, http.json_of(self.send(call)))

    def items(self, kind: type[T], call: Call) -> Iterator[T]:
        """All items of a list, page after page, as they are asked for."""
        cursor = None
        while True:
            params = {**call.params, "cursor": cursor} if cursor else call.params
            page = http.json_of(self.send(Call(call.method, call.path, params, repeatable=True)))
            for item in page.get("items", []):
                yield wire.decode(kind, item)
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    def send(self, call: Call) -> httpx.Response:
        """The answer, read whole. Raises `ApiError`, `UnreachableError`."""
        response = self._open(call)
        try:
            response.read()
        except httpx.HTTPError as error:
            raise http.unreachable(error, self.connection.url) from error
        finally:
            response.close()
        return response

    @contextmanager
    def stream(self, call: Call) -> Iterator[httpx.Response]:
        """The answer while it comes. Raises `ApiError`, `UnreachableError`."""
        response = self._open(call)
        try:
            yield response
        except httpx.HTTPError as error:
            raise http.unreachable(error, self.connection.url) from error
        finally:
            response.close()

    def _open(self, call: Call) -> httpx.Response:
        attempt = 0
        while True:
            try:
                response = self._http.send(self._request(call), stream=True)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                reached = not isinstance(error, http.NEVER_REACHED)
                pause = retries.delay_after_break(call, attempt, self._retries, reached=reached)
                if pause is None:
                    raise http.unreachable(error, self.connection.url) from error
            else:
                status, told = response.status_code, response.headers.get("retry-after")
                pause = retries.delay_after_status(call, attempt, self._retries, status, told)
                if pause is None:
                    return self._accept(response)
                response.close()
            effects.sleep(pause)
            attempt += 1

    def _request(self, call: Call) -> httpx.Request:
        arguments = http.request_arguments(call, self._timeout)
        if call.body is not None:
            arguments["content"] = effects.chunks(call.body)
        return self._http.build_request(**arguments)

    def _accept(self, response: httpx.Response) -> httpx.Response:
        if response.is_success:
            return response
        try:
            response.read()
        except httpx.HTTPError as error:
            raise http.unreachable(error, self.connection.url) from error
        finally:
            response.close()
        raise errors.from_response(response.status_code, response.content, response.headers)
