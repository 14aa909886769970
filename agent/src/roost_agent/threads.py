"""Threads for handlers that are not async, so that they never hold up the event loop and with it `/health`.

A thread cannot be cancelled: when its caller goes away it runs on to its end, and the agent stays busy until then.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, ParamSpec, TypeVar

from roost_agent.health import Board

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """At most `limit` at once; more work waits for its turn."""

    def __init__(self, limit: int, board: Board) -> None:
        self._pool = ThreadPoolExecutor(limit, thread_name_prefix="roost-agent")
        self._board = board
        self._unfinished: set[Future[Any]] = set()

    @property
    def unfinished(self) -> int:
        """How many calls have not ended."""
        return len(self._unfinished)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `function` in a thread, with the caller's context variables. Cancelling gives up waiting only."""
        return await asyncio.wrap_future(self.submit(function, *args, **kwargs))

    def submit(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call `function` in a thread and do not wait."""
        task_id = self._board.add("thread")
        future: Future[T] = self._pool.submit(copy_context().run, partial(function, *args, **kwargs))
        self._unfinished.add(future)
        future.add_done_callback(lambda done: self._forget(done, task_id))
        return future

    def _forget(self, future: Future[T], task_id: str) -> None:
        self._unfinished.discard(future)
        self._board.complete(task_id)
