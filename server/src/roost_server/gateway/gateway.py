"""What a gateway is: it is told everything, every time, and works out the difference itself."""

from typing import Protocol

from roost_server.domain.route import Snapshot
from roost_server.domain.traffic import Counts, Key


class Gateway(Protocol):
    async def start(self) -> None:
        """Bring the gateway up, adopting one that an earlier server left running. Serves what it served before
        until the first `publish`."""
        ...

    async def publish(self, snapshot: Snapshot) -> None:
        """Make `snapshot` the whole configuration; returns when the gateway serves it. Raises `Unavailable` when
        it does not confirm in time (the snapshot still is what it will get). Publishing it again is cheap."""
        ...

    async def ready(self) -> None:
        """Return when callers get through to what was published. Raises `Unavailable` saying why they do not, after a
        second at most for each reason."""
        ...

    async def in_flight(self) -> dict[str, int]:
        """Requests now under way by replica id; a replica that is absent has none. Raises `Unavailable`."""
        ...

    async def traffic(self) -> dict[Key, Counts]:
        """What was counted by endpoint and version since the gateway's process began; absent is none. Raises
        `Unavailable`."""
        ...

    async def close(self, *, stop_traffic: bool = False) -> None:
        """Let go of the gateway, which keeps serving; `stop_traffic` ends it too. Closing twice succeeds."""
        ...
