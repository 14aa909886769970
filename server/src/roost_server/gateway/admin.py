"""What Envoy says of itself, over its admin socket.

Requests under way are asked for in two steps: statistics say cheaply which clusters have any, and only of those the
backends are listed. Listing all backends takes 300 ms with 2,000 routes.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import httpx

from roost_server.domain import errors

TIMEOUT_SECONDS = 5.0

FILTER_MOST = 100
"""With more busy clusters than this all are asked for; the pattern would become long."""

_PREFIX, _SUFFIX = "cluster.", ".upstream_rq_active"
_BUSY = {"type": "Gauges", "usedonly": "", "filter": r"^cluster\.h[12]/.*\.upstream_rq_active$"}

Address = tuple[str, int]


class Admin:
    """A client of Envoy's admin interface. Every method raises `Unavailable` when Envoy does not answer."""

    def __init__(self, socket: Path) -> None:
        self._client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(socket)), base_url="http://envoy", timeout=TIMEOUT_SECONDS
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def active_requests(self) -> Counter[Address]:
        """Requests under way by the address of the backend; upgraded connections count as one."""
        busy = busy_clusters(await self._call("GET", "/stats", _BUSY))
        if not busy:
            return Counter()
        everything = len(busy) > FILTER_MOST
        query = {"format": "json"} if everything else {"format": "json", "filter": matching(busy)}
        return count_active(json.loads(await self._call("GET", "/clusters", query)))

    async def configuration(self) -> dict[str, Any]:
        """All that Envoy holds, as its `/config_dump` with endpoints."""
        return dict(json.loads(await self._call("GET", "/config_dump", {"include_eds": ""})))

    async def statistics(self, pattern: str, *, histograms: bool = False) -> bytes:
        """Statistics of these names that were ever written: lines of numbers, or JSON of histograms in all detail."""
        query = {"usedonly": "", "filter": pattern}
        if histograms:
            query |= {"type": "Histograms", "format": "json", "histogram_buckets": "detailed"}
        return await self._call("GET", "/stats", query)

    async def prometheus(self) -> str:
        """Statistics that were ever written, in Prometheus' text format."""
        return (await self._call("GET", "/stats/prometheus", {"usedonly": ""})).decode()

    async def reopen_logs(self) -> None:
        """Make Envoy write to the log file's path anew, after the file was moved."""
        await self._call("POST", "/reopen_logs")

    async def _call(self, method: str, path: str, query: Mapping[str, str] | None = None) -> bytes:
        try:
            answer = await self._client.request(method, path, params=query)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise errors.Unavailable("cannot ask Envoy: it does not answer", detail=repr(error)) from error
        return answer.content


def busy_clusters(statistics: bytes) -> list[str]:
    """Names of the clusters that have requests, from lines such as `cluster.h1/r1/3.upstream_rq_active: 2`."""
    lines = (line.rpartition(": ") for line in statistics.decode().splitlines())
    return [name.removeprefix(_PREFIX).removesuffix(_SUFFIX) for name, _, requests in lines if requests != "0"]


def matching(names: Iterable[str]) -> str:
    """A pattern for exactly these clusters. In statistics Envoy writes a colon as an underscore."""
    return f"^(?:{names_of(names).replace('_', '[_:]')})$"


def names_of(names: Iterable[str]) -> str:
    """A pattern for one of these names."""
    return "|".join(re.escape(name) for name in names)


def count_active(clusters: dict[str, Any]) -> Counter[Address]:
    """Sums `rq_active` of all clusters by address; addresses without a request are left out."""
    active: Counter[Address] = Counter()
    for cluster in clusters.get("cluster_statuses", ()):
        for host in cluster.get("host_statuses", ()):
            requests = _active(host)
            if requests:
                active[_address(host)] += requests
    return active


def _active(host: dict[str, Any]) -> int:
    return sum(int(each.get("value", 0)) for each in host.get("stats", ()) if each.get("name") == "rq_active")


def _address(host: dict[str, Any]) -> Address:
    """A pipe, such as the xDS server's, has no address."""
    place = host.get("address", {}).get("socket_address", {})
    return str(place.get("address", "")), int(place.get("port_value", 0))
