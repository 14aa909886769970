"""Nudges: tell waiters in this process that rows of a kind changed. Losing one costs a second, never correctness."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable


class Nudges:
    """A counter per kind; whoever saw an older count is woken."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = defaultdict(int)
        self._waiters: dict[str, set[asyncio.Future[None]]] = defaultdict(set)

    def seen(self, kind: str) -> int:
        """The count now; hand it to `wait` so that nothing told in between is missed."""
        return self._counts[kind]

    def tell(self, kinds: Iterable[str]) -> None:
        for kind in kinds:
            self._counts[kind] += 1
            for waiter in self._waiters.pop(kind, ()):
                if not waiter.done():
                    waiter.set_result(None)

    async def wait(self, kind: str, seen: int, seconds: float) -> None:
        """Until the count differs from `seen`, at most `seconds`."""
        if self._counts[kind] != seen or seconds <= 0:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters[kind].add(waiter)
        try:
            await asyncio.wait({waiter}, timeout=seconds)
        finally:
            self._waiters[kind].discard(waiter)
