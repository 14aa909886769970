"""A gateway that only remembers: for the simulated engine, when no Envoy is wanted."""

from roost_server.domain import errors
from roost_server.domain.route import Snapshot
from roost_server.domain.traffic import Counts, Key


class SimulatedGateway:
    """Satisfies `gateway.Gateway`. `snapshot` is the last one published, `active` what `in_flight` answers and
    `counts` what `traffic` does."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None
        self.active: dict[str, int] = {}
        self.counts: dict[Key, Counts] = {}
        self.available = True

    async def start(self) -> None:
        """There is nothing to bring up."""

    async def publish(self, snapshot: Snapshot) -> None:
        """Keep the snapshot. Raises `Unavailable` while `available` is false."""
        self._check()
        self.snapshot = snapshot

    async def ready(self) -> None:
        """Raises `Unavailable` before the first `publish` and while `available` is false."""
        self._check()
        if self.snapshot is None:
            raise errors.Unavailable("cannot reach agents: the simulated gateway has no routes yet")

    async def in_flight(self) -> dict[str, int]:
        """What `active` says. Raises `Unavailable` while `available` is false."""
        self._check()
        return {replica_id: requests for replica_id, requests in self.active.items() if requests}

    async def traffic(self) -> dict[Key, Counts]:
        """What `counts` says. Raises `Unavailable` while `available` is false."""
        self._check()
        return dict(self.counts)

    async def close(self, *, stop_traffic: bool = False) -> None:
        """There is nothing to let go of."""

    def _check(self) -> None:
        if not self.available:
            raise errors.Unavailable("cannot reach the simulated gateway: it is set unavailable")
