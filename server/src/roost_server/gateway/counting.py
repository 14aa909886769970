"""Traffic by version, as Envoy counted it since it began.

A request counts once, when the head of its answer is passed on, whatever was tried again before: with the status that
the client saw. It is an error if that was 5xx, the agent's or the gateway's own for a replica that cannot be reached or
hangs up without an answer. It took from the end of the request to the end of the answer; what the gateway answered
itself has no duration. Not counted at all are answers of a route that has no version to ask, and clients that leave
before there is an answer. A stream that breaks off after its head, and a failure told in gRPC trailers, is no error.

Durations are many numbers, so they are read only of clusters that had requests since the last reading.
"""

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

from roost_server.domain.traffic import Counts, Key
from roost_server.gateway.admin import FILTER_MOST, Admin, names_of
from roost_server.gateway.resources import clusters

NUMBERS = r"^cluster\.h[12]/[^.]+\.upstream_rq_(?:completed|5xx|active)$"
DURATIONS = ".upstream_rq_time"
_LINE = re.compile(r"cluster\.(h[12]/[^.]+)\.upstream_rq_(\w+): (\d+)")
_CLUSTER = re.compile(r"h[12]/(.+)/(\d+)")

Durations = Mapping[float, int]
"""Milliseconds → how many requests took so long."""


class Numbers(NamedTuple):
    completed: int
    errors: int
    active: int


class TrafficCounter:
    """Remembers the durations it has read."""

    def __init__(self, admin: Admin) -> None:
        self._admin = admin
        self._numbers: dict[str, Numbers] = {}
        self._durations: dict[str, Durations] = {}
        self._again: set[str] = set()

    async def read(self) -> dict[Key, Counts]:
        """Everything until now. Raises `Unavailable`. Envoy gathers the durations of its workers when it is asked for
        the numbers; those that are late are seen the next time, for which clusters are looked at once more."""
        numbers = parse_numbers(await self._admin.statistics(NUMBERS))
        changed = {name for name, now in numbers.items() if now != self._numbers.get(name) or now.active}
        self._durations.update(await self._read_durations(changed | (self._again & numbers.keys())))
        self._durations = {name: took for name, took in self._durations.items() if name in numbers}
        self._numbers, self._again = numbers, changed
        return by_version(numbers, self._durations)

    async def _read_durations(self, names: set[str]) -> dict[str, Durations]:
        if not names:
            return {}
        which = "h[12]/[^.]+" if len(names) > FILTER_MOST else f"(?:{names_of(names)})"
        pattern = rf"^cluster\.{which}{re.escape(DURATIONS)}$"
        return parse_durations(json.loads(await self._admin.statistics(pattern, histograms=True)))


def parse_numbers(lines: bytes) -> dict[str, Numbers]:
    """By cluster, from lines such as `cluster.h1/e1/3.upstream_rq_completed: 2`."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for name, kind, value in _LINE.findall(lines.decode()):
        found[name][kind] = int(value)
    return {
        name: Numbers(each.get("completed", 0), each.get("5xx", 0), each.get("active", 0))
        for name, each in found.items()
    }


def parse_durations(document: Mapping[str, Any]) -> dict[str, Durations]:
    """By cluster, from Envoy's histograms with detailed buckets. Below 100 ms a bucket holds a single duration, which
    is its lower bound; of wider ones the middle is right within five percent."""
    details = [each["histograms"]["details"] for each in document["stats"] if "histograms" in each]
    return {
        one["name"].removeprefix("cluster.").removesuffix(DURATIONS): dict(_bucket(each) for each in one["totals"])
        for many in details
        for one in many
    }


def _bucket(bucket: Mapping[str, float]) -> tuple[float, int]:
    width = bucket["width"]
    return bucket["lower_bound"] + (width / 2 if width > 1 else 0), int(bucket["count"])


def by_version(numbers: Mapping[str, Numbers], durations: Mapping[str, Durations]) -> dict[Key, Counts]:
    """Sums clusters of both protocols and of an endpoint's exposed ports; versions without a request are left out."""
    found: dict[Key, Counts] = {}
    for name, counted in numbers.items():
        if counted.completed:
            key = key_of(name)
            counts = Counts(counted.completed, counted.errors, durations.get(name, {}))
            found[key] = found[key].plus(counts) if key in found else counts
    return found


def key_of(cluster: str) -> Key:
    """Endpoint and version of `h1/<route>/<version>`."""
    parts = _CLUSTER.fullmatch(cluster)
    if parts is None:
        raise ValueError(f'"{cluster}" is no cluster of a version')
    return clusters.endpoint_of(parts[1]), int(parts[2])
