"""From runtimes, endpoints and replicas to the whole snapshot that the gateway is told. Pure."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from roost_server.domain import endpoint as hosts
from roost_server.domain.config import RuntimeConfig
from roost_server.domain.endpoint import AGENT_PORT
from roost_server.domain.replica import ReplicaStatus
from roost_server.domain.route import OPEN, Backend, Guard, Pool, Route, Snapshot, Unavailable
from roost_server.domain.runtime import Status


class RoutedRuntime(NamedTuple):
    """What routes depend on of a runtime. `workspace` and `organization` are slugs."""

    id: str
    name: str
    status: Status
    workspace: str
    organization: str


class RoutedEndpoint(NamedTuple):
    """`live` is percent by version; `kept` the version that keeps the sessions which began with it, if any."""

    id: str
    is_default: bool
    is_stopped: bool
    live: tuple[tuple[int, int], ...]
    kept: int | None = None
    guard: Guard = OPEN


class RoutedReplica(NamedTuple):
    id: str
    version: int
    status: ReplicaStatus
    address: str | None
    routed: bool


class Ports(NamedTuple):
    """Where the agent of one version listens, and what else it exposes."""

    agent: int
    exposed: tuple[int, ...]


class Situated(NamedTuple):
    """A runtime with all that its routes depend on; equal when its routes are. `ports` is by version."""

    runtime: RoutedRuntime
    endpoints: tuple[RoutedEndpoint, ...]
    replicas: tuple[RoutedReplica, ...]
    ports: Mapping[int, Ports]


def ports_of(config: RuntimeConfig) -> Ports:
    return Ports(config.probe.port if config.probe else AGENT_PORT, tuple(config.sandbox.exposed_ports))


def snapshot(situated: Iterable[Situated], domain: str) -> Snapshot:
    """Every route of the installation."""
    return Snapshot(tuple(route for one in situated for route in routes_of(one, domain)))


def routed(whole: Snapshot) -> set[str]:
    """Replicas that get new requests under this snapshot."""
    pools = (pool for route in whole.routes for pool in route.pools if pool.weight or pool.keeps_sessions)
    return {backend.replica_id for pool in pools for backend in pool.backends if not backend.draining}


def routes_of(one: Situated, domain: str) -> tuple[Route, ...]:
    """The routes of one runtime."""
    return tuple(_routes(one, domain))


def _routes(one: Situated, domain: str) -> Iterable[Route]:
    for endpoint in one.endpoints:
        labels = [endpoint.id]
        if endpoint.is_default:
            runtime = one.runtime
            labels += [runtime.id, hosts.alias(runtime.name, runtime.workspace, runtime.organization) or ""]
            yield from _exposed(one, endpoint, domain)
        yield Route(
            id=endpoint.id,
            hosts=tuple(f"{label}.{domain}" for label in labels if label),
            pools=_pools(one, endpoint, None),
            guard=endpoint.guard,
            unavailable=_unavailable(one.runtime, endpoint),
            workspace=f"{one.runtime.organization}/{one.runtime.workspace}",
            runtime=one.runtime.name,
        )


def _exposed(one: Situated, endpoint: RoutedEndpoint, domain: str) -> Iterable[Route]:
    live = (one.ports[version] for version, _ in endpoint.live if version in one.ports)
    for port in sorted({port for ports in live for port in ports.exposed}):
        yield Route(
            id=f"{endpoint.id}-{port}",
            hosts=(f"{hosts.port_label(port, one.runtime.id)}.{domain}",),
            pools=_pools(one, endpoint, port),
            guard=endpoint.guard,
            unavailable=_unavailable(one.runtime, endpoint),
            workspace=f"{one.runtime.organization}/{one.runtime.workspace}",
            runtime=one.runtime.name,
        )


def _pools(one: Situated, endpoint: RoutedEndpoint, port: int | None) -> tuple[Pool, ...]:
    """A pool for every version that has replicas: one that gets no weight now may still have requests in flight, and
    one that will get it soon is known to the gateway already."""
    weights = dict(endpoint.live)
    versions = sorted({replica.version for replica in one.replicas})
    pools = (
        Pool(version, weights.get(version, 0), _backends(one, version, port), version == endpoint.kept)
        for version in versions
        if port is None or version not in one.ports or port in one.ports[version].exposed
    )
    return tuple(pool for pool in pools if pool.backends)


def _backends(one: Situated, version: int, port: int | None) -> tuple[Backend, ...]:
    agent = one.ports[version].agent if version in one.ports else AGENT_PORT
    return tuple(
        Backend(replica.id, replica.address, port or agent, replica.status == ReplicaStatus.STOPPING)
        for replica in one.replicas
        if replica.version == version
        and replica.address
        and replica.status in (ReplicaStatus.READY, ReplicaStatus.STOPPING)
    )


def _unavailable(runtime: RoutedRuntime, endpoint: RoutedEndpoint) -> Unavailable:
    match runtime.status:
        case Status.STOPPED | Status.STOPPING:
            return Unavailable("runtime_stopped", f'runtime "{runtime.name}" is stopped; start it to call it', 60)
        case Status.DELETING:
            return Unavailable("runtime_deleting", f'runtime "{runtime.name}" is being deleted', 60)
        case _ if endpoint.is_stopped:
            return Unavailable("endpoint_stopped", f'this endpoint of "{runtime.name}" is stopped; start it first', 60)
        case Status.ERROR:
            return Unavailable("no_ready_replica", f'runtime "{runtime.name}" has no ready replica', 10)
        case _:
            return Unavailable("no_ready_replica", f'runtime "{runtime.name}" has no ready replica yet', 1)
