"""`GET /health`: what the board says, or what the agent's own check makes of it."""

import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping

from roost_agent.health import Board, Status
from roost_agent.threads import Threads

log = logging.getLogger("roost_agent")

Verdict = Status | str | bool | Mapping[str, object] | None
Check = Callable[[], Verdict | Awaitable[Verdict]]


class Health:
    """`check`, if set, is asked at every probe. It has a thread of its own: busy handlers cannot hold it up."""

    def __init__(self, board: Board) -> None:
        self.check: Check | None = None
        self._board = board
        self._thread = Threads(1, Board())

    @property
    def unfinished(self) -> int:
        """Checks that hang in their thread."""
        return self._thread.unfinished

    async def report(self) -> tuple[int, dict[str, object]]:
        """HTTP status and body: 200 for `Healthy` and `HealthyBusy`, 503 for `Unhealthy`."""
        verdict = await self._ask()
        extra = dict(verdict) if isinstance(verdict, Mapping) else {"status": verdict}
        body = self._board.report(_status(extra.pop("status", None)))
        return (503 if body["status"] == Status.UNHEALTHY else 200), {**body, **extra, **body}

    async def _ask(self) -> Verdict:
        if self.check is None:
            return None
        try:
            verdict = self.check() if inspect.iscoroutinefunction(self.check) else await self._thread.run(self.check)
            return await verdict if isinstance(verdict, Awaitable) else verdict
        except Exception:
            log.exception("health check failed")
            return Status.UNHEALTHY


def _status(verdict: object) -> Status | None:
    """True and None leave it to the board. Raises ValueError for a word that is no status."""
    if verdict is None or verdict is True:
        return None
    return Status.UNHEALTHY if verdict is False else Status(str(verdict))
