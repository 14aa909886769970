"""Handle: a runtime as it was last told, and how to ask for it again and wait for it."""

from collections.abc import Callable
from typing import Self, TypeVar

from roost import calls, models, waiting
from roost.aio.transport import AsyncTransport
from roost.calls import Call
from roost.waiting import Deadline

T = TypeVar("T")
OnChange = Callable[[T], None]
"""Called with the runtime after every look at it."""


class AsyncHandle(models.RuntimeState):
    """Its fields are as of the last answer. Methods address it by id, so a new runtime of the same name is never
    touched by mistake.
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

    async def wait(self, timeout: float | None = 240.0, *, on_change: OnChange[Self] | None = None) -> Self:
        """Wait until it has settled (active, stopped, paused, suspended).

        `on_change` is called after every look at it. Raises `RuntimeFailed` when it is in `error`, `WaitTimeout`.
        """
        return await self.settle(Deadline(timeout, watched=on_change is not None), on_change)

    async def settle(self, deadline: Deadline, on_change: OnChange[Self] | None = None) -> Self:
        """`wait` until a deadline that began earlier."""
        while True:
            if on_change is not None:
                on_change(self)
            if waiting.runtime_is_settled(self, deadline):
                return self
            await self.refresh(wait=deadline.slice())

    async def _bring_to(self, verb: str, wait: bool, timeout: float | None, on_change: OnChange[Self] | None) -> Self:
        deadline = Deadline(timeout, watched=on_change is not None)
        await self._ask(calls.verb(self._path(verb), wait=deadline.slice() if wait else 0.0))
        return await self.settle(deadline, on_change) if wait else self

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {self.status} {self.url}>"
