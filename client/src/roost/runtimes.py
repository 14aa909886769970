# Generated from aio/runtimes.py by client/scripts/make_sync.py; change that file instead.
"""The runtimes of a workspace: create, list, see how they do, get, delete."""

from collections.abc import Callable, Iterable, Iterator
from typing import Unpack

from roost import calls, config, models
from roost.config import RunOptions, RuntimeConfig
from roost.runtime import Runtime
from roost.transport import Transport
from roost.waiting import Deadline


class Runtimes:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self,
        name: str,
        image: str | None = None,
        *,
        config: RuntimeConfig | None = None,
        description: str = "",
        wait: bool = True,
        timeout: float | None = 240.0,
        on_change: Callable[[Runtime], None] | None = None,
        **options: Unpack[RunOptions],
    ) -> Runtime:
        """Create a runtime and, with `wait`, wait until it is active.

        Without `image` and `config` it runs `builtin:runtime`. `options` are short words for fields of `config`:
        `cpus`, `memory_mb`, `env`, `port`, … (see `RunOptions`). `on_change` is called with the runtime after every
        look at it. Raises `AlreadyExistsError`, `ValidationError`, `RuntimeFailed`, `WaitTimeout`.
        """
        body = {"name": name, "description": description, "config": _compose(image, config, options)}
        deadline = Deadline(timeout, watched=on_change is not None)
        call = calls.create("/runtimes", body, wait=deadline.slice() if wait else 0.0)
        runtime = Runtime(self._transport, self._transport.read(models.RuntimeState, call))
        return runtime.settle(deadline, on_change) if wait else runtime

    def list(self, *, status: str | Iterable[str] = (), label: str | Iterable[str] = ()) -> Iterator[Runtime]:
        """All runtimes, newest first; `status` and `label` (`key=value`) narrow it down. Fetches pages as needed."""
        call = calls.get("/runtimes", status=_several(status), label=_several(label), limit=100)
        for state in self._transport.items(models.RuntimeState, call):
            yield Runtime(self._transport, state)

    def figures(self) -> Iterator[models.RuntimeFigures]:
        """How all runtimes do at the moment, newest first."""
        return self._transport.items(models.RuntimeFigures, calls.get("/metrics", limit=100))

    def get(self, id_or_name: str) -> Runtime:
        """One runtime. Raises `NotFoundError`."""
        state = self._transport.read(models.RuntimeState, calls.get(calls.path("runtimes", id_or_name)))
        return Runtime(self._transport, state)

    def delete(self, id_or_name: str, *, wait: bool = True, timeout: float | None = 240.0) -> None:
        """Delete a runtime and all that belongs to it. Raises `NotFoundError`, `WaitTimeout`."""
        runtime = self.get(id_or_name)
        runtime.delete(wait=wait, timeout=timeout)


def _compose(image: str | None, given: RuntimeConfig | None, options: RunOptions) -> RuntimeConfig:
    return config.compose(image, given, options)


def _several(given: str | Iterable[str]) -> list[str]:
    return [given] if isinstance(given, str) else list(given)
