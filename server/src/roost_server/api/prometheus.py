"""Figures for Prometheus: what this server's process counts, and what the store says of all runtimes."""

import asyncio
from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from roost_server.store import fleet, runtimes
from roost_server.store.store import Store


class _Told:
    """A collector of what was found out already."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


async def text(store: Store) -> bytes:
    """In Prometheus' text format. Writing it takes a while where there are thousands, so another thread does it."""
    found = CollectorRegistry()
    found.register(_Told(await _of_store(store)))
    return await asyncio.to_thread(lambda: generate_latest() + generate_latest(found))


async def _of_store(store: Store) -> list[Metric]:
    async with store.read() as tx:
        by_status = await runtimes.count_by_status(tx)
        counted, scaled, weights = (
            await fleet.count_replicas(tx),
            await fleet.scaled(tx),
            await fleet.canary_weights(tx),
        )
    names = ["workspace", "runtime", "version"]
    return [
        _gauge("roost_runtimes", "Runtimes by status.", ["status"], sorted(by_status.items())),
        _gauge("roost_replicas", "Replicas by status.", [*names, "status"], counted),
        _gauge("roost_autoscale_replicas", "Replicas that scaling decided on.", names, scaled),
        _gauge(
            "roost_canary_weight",
            "Percent of an endpoint's traffic that a canary's new version has.",
            ["workspace", "runtime", "endpoint", "version"],
            weights,
        ),
    ]


def _gauge(name: str, sentence: str, labels: Sequence[str], rows: Iterable[Sequence[object]]) -> Metric:
    """`rows` are the labels' values, and the figure last."""
    family = GaugeMetricFamily(name, sentence, labels=labels)
    for *values, figure in rows:
        family.add_metric([str(value) for value in values], float(str(figure)))
    return family
