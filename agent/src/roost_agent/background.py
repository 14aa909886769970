"""Work that outlives the request that started it, and how it ends when the agent stops."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any

from roost_agent.health import Board
from roost_agent.threads import Threads

log = logging.getLogger("roost_agent")


class Background:
    """Starts functions, async or not, and keeps them until they end."""

    def __init__(self, board: Board, threads: Threads) -> None:
        self._board = board
        self._threads = threads
        self._running: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self) -> None:
        """Use the running event loop for work that is started from threads."""
        self._loop = asyncio.get_running_loop()

    def start(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
        """Start it, from the event loop or a thread, and answer its id. Raises RuntimeError while no app runs."""
        if self._loop is None:
            raise RuntimeError(f'cannot start "{name}" in the background: the app is not running yet')
        task_id = self._board.add(name)
        work = self._run(name, task_id, function, args, kwargs)
        self._loop.call_soon_threadsafe(self._spawn, work, context=copy_context())
        return task_id

    async def finish(self, until: float) -> None:
        """Wait for everything the board knows, until `until` (monotonic seconds); then cancel what is left."""
        await asyncio.to_thread(self._board.wait_idle, max(0.0, until - time.monotonic()))
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(
        self, name: str, task_id: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        try:
            if asyncio.iscoroutinefunction(function):
                await function(*args, **kwargs)
            else:
                await self._threads.run(function, *args, **kwargs)
        except Exception:
            log.exception("background task failed name=%s task_id=%s", name, task_id)
        finally:
            self._board.complete(task_id)
