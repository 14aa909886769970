"""The runtimes of a workspace: create, list, see how they do, get, delete."""

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Unpack

from roost import calls, config, models
from roost.aio.runtime import AsyncRuntime
from roost.aio.transport import AsyncTransport
from roost.config import RunOptions, RuntimeConfig
from roost.waiting import Deadline


class AsyncRuntimes:
    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def create(
        self,
        name: str,
        image: str | None = None,
        *,
        config: RuntimeConfig | None = None,
        description: str = "",
        wait: bool = True,
        timeout: float | None = 240.0,
        on_change: Callable[[AsyncRuntime], None] | None = None,
        **options: Unpack[RunOptions],
    ) -> AsyncRuntime:
        """Create a runtime and, with `wait`, wait until it is active.

        Without `image` and `config` it runs `builtin:runtime`. `options` are short words for fields of `config`:
        `cpus`, `memory_mb`, `env`, `port`, … (see `RunOptions`). `on_change` is called with the runtime after every
        look at it. Raises `AlreadyExistsError`, `ValidationError`, `RuntimeFailed`, `WaitTimeout`.
        """
        body = {"name": name, "description": description, "config": _compose(image, config, options)}
        deadline = Deadline(timeout, watched=on_change is not None)
        call = calls.create("/runtimes", body, wait=deadline.slice() if wait else 0.0)
        runtime = AsyncRuntime(self._transport, await self._transport.read(models.RuntimeState, call))
        return await runtime.settle(deadline, on_change) if wait else runtime

    async def list(
        self, *, status: str | Iterable[str] = (), label: str | Iterable[str] = ()
    ) -> AsyncIterator[AsyncRuntime]:
        """All runtimes, newest first; `status` and `label` (`key=value`) narrow it down. Fetches pages as needed."""
        call = calls.get("/runtimes", status=_several(status), label=_several(label), limit=100)
        async for state in self._transport.items(models.RuntimeState, call):
            yield AsyncRuntime(self._transport, state)

    def figures(self) -> AsyncIterator[models.RuntimeFigures]:
        """How all runtimes do at the moment, newest first."""
        return self._transport.items(models.RuntimeFigures, calls.get("/metrics", limit=100))

    async def get(self, id_or_name: str) -> AsyncRuntime:
        """One runtime. Raises `NotFoundError`."""
        state = await self._transport.read(models.RuntimeState, calls.get(calls.path("runtimes", id_or_name)))
        return AsyncRuntime(self._transport, state)

    async def delete(self, id_or_name: str, *, wait: bool = True, timeout: float | None = 240.0) -> None:
        """Delete a runtime and all that belongs to it. Raises `NotFoundError`, `WaitTimeout`."""
        runtime = await self.get(id_or_name)
        await runtime.delete(wait=wait, timeout=timeout)


def _compose(image: str | None, given: RuntimeConfig | None, options: RunOptions) -> RuntimeConfig:
    return config.compose(image, given, options)


def _several(given: str | Iterable[str]) -> list[str]:
    return [given] if isinstance(given, str) else list(given)
