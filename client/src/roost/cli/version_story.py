"""What became of a runtime's versions, told from its events: those that did not start, and those that were left again.

Only the newest thousand events are kept: of older versions nothing is told rather than something wrong. Pure.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from roost.models import Event


def outcomes(events: Iterable[Event]) -> dict[int, str]:
    """A phrase for each version whose story did not go on. `events` begin with the oldest."""
    story = _Story()
    for event in events:
        story.hear(event)
    return {**story.failed, **story.left}


@dataclass
class _Story:
    """`live` by endpoint; `made` are versions whose whole life is in the events, `started` had a ready replica."""

    live: dict[str, set[int]] = field(default_factory=dict)
    made: set[int] = field(default_factory=set)
    started: set[int] = field(default_factory=set)
    failed: dict[int, str] = field(default_factory=dict)
    left: dict[int, str] = field(default_factory=dict)

    def hear(self, event: Event) -> None:
        data: dict[str, Any] = event.data
        version = data.get("version")
        match event.type:
            case "runtime.created":
                self.made.add(1)
            case "version.created" if version:
                self.made.add(version)
            case "replica.ready" if version:
                self._start(version)
            case "replica.failed" if version:
                self._fail(version, event.message)
            case "endpoint.moved":
                self._move(data["endpoint"], {int(version) for version in data["live"]})
            case "canary.rolled_back" | "canary.aborted":
                self._go_back(event.type.removeprefix("canary.").replace("_", " "), event)

    def _start(self, version: int) -> None:
        self.started.add(version)
        self.failed.pop(version, None)

    def _fail(self, version: int, message: str) -> None:
        if version in self.made - self.started:
            self.failed[version] = f"did not start: {_cause(message)}"

    def _move(self, endpoint: str, live: set[int]) -> None:
        for version in self.live.get(endpoint, set()) - live:
            if max(live) < version:
                self.left[version] = f"{endpoint} went back to version {' and '.join(map(str, sorted(live)))}"
        for version in live:
            self.left.pop(version, None)
        self.live[endpoint] = live

    def _go_back(self, how: str, event: Event) -> None:
        endpoint, old, new = event.data["endpoint"], event.data["from"], event.data["to"]
        why = event.message.removeprefix(f"{endpoint}: ").split("\n")[0]
        self.left[new] = f"canary of {endpoint}: {why}" if how in why else f"canary of {endpoint} {how}: {why}"
        self.live[endpoint] = {old}


def _cause(message: str) -> str:
    """Its first sentence, without what to do, when it starts again and the log."""
    return message.split("\n")[0].split("; ")[0]
