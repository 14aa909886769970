"""What the agent is busy with, and what it therefore says about its health.

`Healthy` and `HealthyBusy` both mean: send traffic. Busy tells the platform that stopping now would lose work.
"""

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from types import TracebackType


class Status(StrEnum):
    HEALTHY = "Healthy"  # nothing runs
    HEALTHY_BUSY = "HealthyBusy"  # an invocation or a task runs
    UNHEALTHY = "Unhealthy"  # the agent's own check says so: answered with 503


class Board:
    """The work that runs now. Safe to use from every thread."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._running: dict[str, str] = {}
        self._status = Status.HEALTHY
        self._updated_at = int(time.time())

    def add(self, name: str) -> str:
        """Note that `name` runs, until `complete` gets the id given back."""
        task_id = str(uuid.uuid4())
        with self._lock:
            self._running[task_id] = name
        self.report(None)
        return task_id

    def complete(self, task_id: str) -> bool:
        """Note that it ended. Completing what is gone succeeds and answers False."""
        with self._lock:
            known = self._running.pop(task_id, None) is not None
            self._lock.notify_all()
        self.report(None)
        return known

    @contextmanager
    def busy(self, name: str) -> Iterator[None]:
        """Note that `name` runs inside the block."""
        task_id = self.add(name)
        try:
            yield
        finally:
            self.complete(task_id)

    def wait_idle(self, timeout_seconds: float) -> bool:
        """Block the calling thread until nothing runs. False when the time was not enough."""
        with self._lock:
            return self._lock.wait_for(lambda: not self._running, timeout_seconds)

    def report(self, status: Status | None) -> dict[str, object]:
        """The body of `GET /health`, with `status` or, if None, what follows from the running work.

        `time_of_last_update` is when the status last changed, in whole seconds since 1970.
        """
        with self._lock:
            now = status or (Status.HEALTHY_BUSY if self._running else Status.HEALTHY)
            if now != self._status:
                self._status, self._updated_at = now, int(time.time())
            return {"status": str(now), "time_of_last_update": self._updated_at}


class Task:
    """`with app.task("index"):` or `async with`: the agent is busy inside the block."""

    def __init__(self, board: Board, name: str) -> None:
        self._board = board
        self._name = name
        self._id = ""

    def __enter__(self) -> str:
        self._id = self._board.add(self._name)
        return self._id

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._board.complete(self._id)

    async def __aenter__(self) -> str:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._board.complete(self._id)
