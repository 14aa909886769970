# Generated from aio/canaries.py by client/scripts/make_sync.py; change that file instead.
"""Canaries of a runtime: a new version that takes over an endpoint's traffic step by step."""

from collections.abc import Callable, Iterator
from typing import Any, Self, Unpack

from roost import calls, models, waiting
from roost.calls import Call
from roost.config import CanaryOptions
from roost.handle import Handle
from roost.transport import Transport
from roost.waiting import Deadline


class Canary(models.CanaryState):
    """A canary. Its fields are as of the last answer; `refresh` asks again. What ends it may be said twice."""

    def __init__(self, transport: Transport, runtime_id: str, state: models.CanaryState) -> None:
        self._transport, self._runtime_id = transport, runtime_id
        self._take(state)

    def _take(self, state: models.CanaryState) -> Self:
        self.__dict__.update(vars(state))
        return self

    def _path(self, *parts: str) -> str:
        return calls.path("runtimes", self._runtime_id, "canaries", self.id, *parts)

    def _ask(self, call: Call) -> Self:
        return self._take(self._transport.read(models.CanaryState, call))

    def refresh(self, *, wait: float = 0.0) -> Self:
        """Ask how it stands; with `wait`, as soon as it has ended or after that many seconds."""
        return self._ask(calls.get(self._path(), wait=wait))

    def wait(self, timeout: float | None = None, *, on_change: Callable[[Self], None] | None = None) -> Self:
        """Wait until the new version has all the traffic.

        `on_change` is called after every look at it. Raises `CanaryFailed` when it was rolled back or aborted, with
        its message, and `WaitTimeout`.
        """
        deadline = Deadline(timeout, watched=on_change is not None)
        while True:
            if on_change is not None:
                on_change(self)
            if waiting.canary_has_succeeded(self, deadline):
                return self
            self.refresh(wait=deadline.slice())

    def pause(self) -> Self:
        """Keep its weight where it is; it is still rolled back when it does worse. Raises `ConflictError`."""
        return self._ask(calls.verb(self._path("pause")))

    def resume(self) -> Self:
        """Let a paused one go on. Raises `ConflictError`."""
        return self._ask(calls.verb(self._path("resume")))

    def promote(self) -> Self:
        """All traffic to the new version as soon as it has the replicas for it. Raises `ConflictError`."""
        return self._ask(calls.verb(self._path("promote")))

    def abort(self) -> Self:
        """All traffic back to the old version, at once; returns when the gateway has that, or after 20 seconds.

        Raises `ConflictError` when it has succeeded."""
        return self._ask(calls.verb(self._path("abort"), wait=waiting.SLICE_SECONDS))

    def retry(self) -> Self:
        """A new canary with the same parameters as this one, which was rolled back or aborted."""
        state = self._transport.read(models.CanaryState, calls.create(self._path("retry")))
        return type(self)(self._transport, self._runtime_id, state)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.endpoint} {self.from_version}→{self.to_version} {self.status}>"


class Canaries(Handle):
    """What a runtime can do with canaries."""

    def start_canary(self, to: int, endpoint: str | None = None, **options: Unpack[CanaryOptions]) -> Canary:
        """Give version `to` a growing share of an endpoint's traffic, by default the default one's.

        It goes by itself: on to the next step, or back when the new version does worse. `options` are `steps`,
        `interval_seconds`, `max_error_rate`, `max_p95_ratio` and `min_requests`. `wait` of the answer waits until it
        has succeeded. Raises `ValidationError`; `ConflictError` when the endpoint does not serve exactly one version.
        """
        body: dict[str, Any] = {"to": to, **options}
        if endpoint is not None:
            body["endpoint"] = endpoint
        state = self._transport.read(models.CanaryState, calls.create(self._path("canaries"), body))
        return Canary(self._transport, self.id, state)

    def canary(self, id: str = "current") -> Canary:
        """One canary; without an id the one under way, or the last one. Raises `NotFoundError`."""
        state = self._transport.read(models.CanaryState, calls.get(self._path("canaries", id)))
        return Canary(self._transport, self.id, state)

    def list_canaries(self) -> Iterator[Canary]:
        """Its canaries, newest first."""
        call = calls.get(self._path("canaries"), limit=100)
        for state in self._transport.items(models.CanaryState, call):
            yield Canary(self._transport, self.id, state)
