"""The handler an agent declares: what it takes, what it needs, and how it is called."""

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from roost_agent.context import HEADERS, RequestContext
from roost_agent.threads import Threads

Handler = Callable[..., Any]
END = object()


@dataclass(frozen=True)
class Entrypoint:
    """`requires` names the parts of the context without which the handler is not called."""

    handler: Handler
    requires: tuple[str, ...]
    takes_context: bool

    async def call(self, payload: object, context: RequestContext, threads: Threads) -> object:
        """What the handler returns; in a thread unless it is async."""
        arguments = (payload, context) if self.takes_context else (payload,)
        if inspect.iscoroutinefunction(self.handler) or inspect.isasyncgenfunction(self.handler):
            answer = self.handler(*arguments)
        else:
            answer = await threads.run(self.handler, *arguments)
        return await answer if inspect.isawaitable(answer) else answer


def declare(handler: Handler, requires: tuple[str, ...]) -> Entrypoint:
    """Read the handler's signature. Raises ValueError for an unknown requirement, TypeError for other parameters."""
    for name in requires:
        if name not in HEADERS:
            raise ValueError(f'cannot require "{name}": choose from {", ".join(HEADERS)}')
    return Entrypoint(handler, requires, _takes_context(handler))


def items(answer: object, threads: Threads) -> AsyncIterator[object] | None:
    """The items of a streamed answer, or None when the answer is one value."""
    if isinstance(answer, AsyncIterator):
        return answer
    if isinstance(answer, Iterator):
        return _from_thread(answer, threads)
    return None


async def _from_thread(iterator: Iterator[object], threads: Threads) -> AsyncIterator[object]:
    try:
        while (item := await threads.run(next, iterator, END)) is not END:
            yield item
    finally:
        threads.submit(_close, iterator)


def _close(iterator: Iterator[object]) -> None:
    """Let the generator's `finally` run. One that still computes its next item closes when that thread drops it."""
    close = getattr(iterator, "close", None)
    if close is not None and not getattr(iterator, "gi_running", False):
        close()


def _takes_context(handler: Handler) -> bool:
    signature = inspect.signature(handler)
    for count in (2, 1):
        try:
            signature.bind(*range(count))
        except TypeError:
            continue
        return count == 2
    name = getattr(handler, "__name__", repr(handler))
    raise TypeError(f"cannot use {name}{signature} as entrypoint: it must take (payload) or (payload, context)")
