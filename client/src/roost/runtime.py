# Generated from aio/runtime.py by client/scripts/make_sync.py; change that file instead.
"""Runtime: what the server last told about it, and what can be done with it."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, Self, Unpack

import httpx

from roost import calls, effects, execs, gateway, logs, models, sse, waiting, wire
from roost.calls import Call
from roost.config import RuntimeConfig
from roost.errors import NotFoundError, UnreachableError
from roost.execs import ExecOptions
from roost.gateway import RequestOptions
from roost.logs import LogFilter
from roost.transport import Transport
from roost.waiting import Deadline

OnChange = Callable[["Runtime"], None]


class Runtime(models.RuntimeState):
    """Its fields are as of the last answer; `refresh` asks again. Methods address it by id, so a new runtime of the
    same name is never touched by mistake.
    """

    def __init__(self, transport: Transport, state: models.RuntimeState) -> None:
        self._transport = transport
        self._take(state)

    def _take(self, state: models.RuntimeState) -> Self:
        self.__dict__.update(vars(state))
        return self

    def _path(self, *parts: str) -> str:
        return calls.path("runtimes", self.id, *parts)

    def _ask(self, call: Call) -> Self:
        return self._take(self._transport.read(models.RuntimeState, call))

    def refresh(self, *, wait: float = 0.0) -> Self:
        """Ask how it stands; with `wait`, as soon as it has settled or after that many seconds."""
        return self._ask(calls.get(self._path(), wait=wait))

    def wait(self, timeout: float | None = 240.0, *, on_change: OnChange | None = None) -> Self:
        """Wait until it has settled (active, stopped, paused, suspended).

        `on_change` is called after every look at it. Raises `RuntimeFailed` when it is in `error`, `WaitTimeout`.
        """
        return self.settle(Deadline(timeout, watched=on_change is not None), on_change)

    def settle(self, deadline: Deadline, on_change: OnChange | None = None) -> Self:
        """`wait` until a deadline that began earlier."""
        while True:
            if on_change is not None:
                on_change(self)
            if waiting.runtime_is_settled(self, deadline):
                return self
            self.refresh(wait=deadline.slice())

    def _bring_to(self, verb: str, wait: bool, timeout: float | None, on_change: OnChange | None) -> Self:
        deadline = Deadline(timeout, watched=on_change is not None)
        self._ask(calls.verb(self._path(verb), wait=deadline.slice() if wait else 0.0))
        return self.settle(deadline, on_change) if wait else self

    def start(self, *, wait: bool = True, timeout: float | None = 240.0, on_change: OnChange | None = None) -> Self:
        """Bring it up again; a failed one tries again at once. Raises `RuntimeFailed`, `WaitTimeout`."""
        return self._bring_to("start", wait, timeout, on_change)

    def stop(self, *, wait: bool = True, timeout: float | None = 240.0, on_change: OnChange | None = None) -> Self:
        """Stop its replicas; configuration, endpoints and logs are kept. Raises `WaitTimeout`."""
        return self._bring_to("stop", wait, timeout, on_change)

    def delete(self, *, wait: bool = True, timeout: float | None = 240.0, expected_revision: int | None = None) -> None:
        """Remove it with all that belongs to it. Raises `ConflictError` for a stale revision, `WaitTimeout`."""
        deadline = Deadline(timeout)
        self._transport.send(calls.delete(self._path(), expected_revision=expected_revision))
        while wait:
            try:
                self.refresh(wait=deadline.slice())
            except NotFoundError:
                return
            waiting.runtime_is_still_there(self, deadline)

    def describe(self, description: str, *, expected_revision: int | None = None) -> Self:
        """Change the description. Raises `ConflictError` for a stale revision."""
        headers = calls.if_match(expected_revision)
        return self._ask(Call("PATCH", self._path(), json={"description": description}, headers=headers))

    def exec(
        self, command: str | Sequence[str], *, timeout: float = execs.DEFAULT_SECONDS, **options: Unpack[ExecOptions]
    ) -> models.ExecResult:
        """Run one command in a replica and return all its output. A text goes through `sh -lc`.

        A command that fails is a result, not an exception. Raises `ConflictError` when no replica runs.
        """
        return self._transport.read(models.ExecResult, execs.call(self._path("exec"), command, timeout, options))

    def get_config(self) -> RuntimeConfig:
        """The latest version's configuration, complete but for passwords."""
        answer: dict[str, RuntimeConfig] = (self._transport.send(calls.get(self._path("config")))).json()
        return answer["config"]

    def put_config(
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
        self._transport.send(Call("PUT", self._path("config"), json={"config": config}, headers=headers))
        self.refresh()
        return self.settle(deadline, on_change) if wait else self

    def list_replicas(self) -> list[models.Replica]:
        """Its replicas, oldest first."""
        return [one for one in self._transport.items(models.Replica, calls.get(self._path("replicas")))]

    def list_versions(self) -> Iterator[models.Version]:
        """Its versions, newest first."""
        return self._transport.items(models.Version, calls.get(self._path("versions"), limit=100))

    def list_events(self) -> Iterator[models.Event]:
        """What happened, newest first."""
        return self._transport.items(models.Event, calls.get(self._path("events"), limit=100))

    def image(self) -> models.Image:
        """The image of its latest version."""
        answer = (self._transport.send(calls.get(self._path("versions"), limit=1))).json()
        image_id = answer["items"][0]["image_id"]
        return self._transport.read(models.Image, calls.get(calls.path("images", image_id)))

    def log_page(
        self,
        *,
        order: Literal["asc", "desc"] = "asc",
        limit: int = 100,
        cursor: str | None = None,
        **wanted: Unpack[LogFilter],
    ) -> models.LogPage:
        """Up to 1000 lines; `next_cursor` continues."""
        return self._transport.read(models.LogPage, logs.page(self._path("logs"), wanted, order, limit, cursor))

    def logs(self, *, order: Literal["asc", "desc"] = "asc", **wanted: Unpack[LogFilter]) -> Iterator[models.LogLine]:
        """All lines that match, fetched page by page. `order="desc"` begins with the newest."""
        call = logs.page(self._path("logs"), wanted, order, logs.PAGE)
        return self._transport.items(models.LogLine, call)

    def follow_logs(self, **wanted: Unpack[LogFilter]) -> Iterator[models.LogLine]:
        """New lines as they are written, until the runtime is deleted; with `since`, older ones first.

        A broken connection is taken up again where it broke. Raises `UnreachableError` when that does not succeed.
        """
        last_id, breaks = None, 0
        while breaks <= logs.RECONNECTS:
            decoder = sse.Decoder(last_id)
            try:
                with self._transport.stream(logs.follow(self._path("logs"), wanted, last_id)) as response:
                    for chunk in response.iter_bytes():
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
            effects.sleep(breaks)

    def call(
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
        with self.stream(method, path, timeout=timeout, exposed_port=exposed_port, **options) as response:
            response.read()
        return response

    @contextmanager
    def stream(
        self,
        method: str,
        path: str = "/",
        *,
        timeout: float = 300.0,
        exposed_port: int | None = None,
        **options: Unpack[RequestOptions],
    ) -> Iterator[httpx.Response]:
        """Like `call`, but the answer is read while it comes: `for chunk in response.iter_bytes()`.

        `timeout` is the longest silence in seconds.
        """
        pool, api_url = self._transport.gateway, self._transport.connection.url
        url = gateway.url_of(self, exposed_port)
        request = gateway.request(pool, url, api_url, method, path, options, timeout)
        try:
            response = pool.send(request, stream=True)
            try:
                yield response
            finally:
                response.close()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise gateway.failed(error, self) from error

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {self.status} {self.url}>"
