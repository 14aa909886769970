"""Callers of a simulated endpoint: the gateway counts what they send, by the weights that it was last told."""

from collections import Counter

from roost_server.domain.traffic import Counts

from support.platform import Rig


class Callers:
    """`fails` and `takes` say of each version which of its requests fails (every so many-th), and how many
    milliseconds each takes (10)."""

    def __init__(
        self, rig: Rig, endpoint_id: str, *, fails: dict[int, int] | None = None, takes: dict[int, float] | None = None
    ) -> None:
        self._rig, self._endpoint_id = rig, endpoint_id
        self.fails, self.takes = fails or {}, takes or {}
        self.sent: Counter[int] = Counter()
        self._owed: Counter[int] = Counter()

    @property
    def weights(self) -> dict[int, int]:
        """Percent by version, as the gateway serves it."""
        for route in self._rig.gateway.snapshot.routes if self._rig.gateway.snapshot else ():
            if route.id == self._endpoint_id:
                return {pool.version: pool.weight for pool in route.pools if pool.weight}
        return {}

    def send(self, requests: int = 100) -> None:
        """Each version gets its share of them, what is left over next time."""
        for version, weight in self.weights.items():
            self._owed[version] += requests * weight
            share, self._owed[version] = divmod(self._owed[version], 100)
            self._count(version, share)

    def _count(self, version: int, requests: int) -> None:
        before = self.sent[version]
        self.sent[version] += requests
        every = self.fails.get(version)
        failed = (self.sent[version] // every - before // every) if every else 0
        counted = Counts(requests, failed, {self.takes.get(version, 10.0): requests} if requests else {})
        counts, key = self._rig.gateway.counts, (self._endpoint_id, version)
        counts[key] = counts.get(key, Counts()).plus(counted)
