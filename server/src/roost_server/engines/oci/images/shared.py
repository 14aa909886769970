"""One piece of work for all who want the same at once. It ends early only when the last of them has gone."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from roost_server.domain.image import Progress
from roost_server.engines.engine import OnProgress

T = TypeVar("T")


@dataclass
class _Work(Generic[T]):
    listeners: list[OnProgress] = field(default_factory=list)
    latest: Progress | None = None
    task: asyncio.Task[T] | None = None

    def tell(self, progress: Progress) -> None:
        self.latest = progress
        for listener in list(self.listeners):
            listener(progress)


class Shared(Generic[T]):
    """Work under way, by what is wanted."""

    def __init__(self) -> None:
        self._under_way: dict[Hashable, _Work[T]] = {}

    async def run(self, key: Hashable, start: Callable[[OnProgress], Awaitable[T]], progress: OnProgress) -> T:
        """The outcome of `start`, or of the work for `key` that is under way already."""
        work = self._under_way.get(key) or self._begin(key, start)
        work.listeners.append(progress)
        if work.latest:
            progress(work.latest)
        try:
            assert work.task is not None
            return await asyncio.shield(work.task)
        finally:
            await self._leave(key, work, progress)

    def _begin(self, key: Hashable, start: Callable[[OnProgress], Awaitable[T]]) -> _Work[T]:
        work: _Work[T] = _Work()
        self._under_way[key] = work

        async def whole() -> T:
            return await start(work.tell)

        work.task = asyncio.create_task(whole())
        work.task.add_done_callback(lambda _: self._forget(key, work))
        return work

    def _forget(self, key: Hashable, work: _Work[T]) -> None:
        if self._under_way.get(key) is work:
            del self._under_way[key]

    async def _leave(self, key: Hashable, work: _Work[T], progress: OnProgress) -> None:
        work.listeners.remove(progress)
        if work.listeners or work.task is None or work.task.done():
            return
        self._forget(key, work)
        work.task.cancel()
        await asyncio.gather(work.task, return_exceptions=True)
