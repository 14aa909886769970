"""From runtimes, endpoints and replicas to the whole snapshot that the gateway is told. Pure."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from roost_server.domain import endpoint as hosts
from roost_server.domain.config import RuntimeConfig
from roost_server.domain.endpoint import AGENT_PORT, DEFAULT
from roost_server.domain.replica import ReplicaStatus
from roost_server.domain.route import Backend, Route, Snapshot, Unavailable
from roost_server.domain.runtime import Status


class RoutedRuntime(NamedTuple):
    """What routes depend on of a runtime. `workspace` and `organization` are slugs."""

    id: str
    name: str
    status: Status
    workspace: str
    organization: str


class RoutedEndpoint(NamedTuple):
    id: str
    name: str
    live_version: int | None


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
    return {backend.replica_id for route in whole.routes for backend in route.backends if not backend.draining}


def routes_of(one: Situated, domain: str) -> tuple[Route, ...]:
    """The routes of one runtime."""
    return tuple(_routes(one, domain))


def _routes(one: Situated, domain: str) -> Iterable[Route]:
    for endpoint in one.endpoints:
        labels = [endpoint.id]
        if endpoint.name == DEFAULT:
            runtime = one.runtime
            labels += [runtime.id, hosts.alias(runtime.name, runtime.workspace, runtime.organization) or ""]
            yield from _exposed(one, endpoint, domain)
        yield Route(
            id=endpoint.id,
            hosts=tuple(f"{label}.{domain}" for label in labels if label),
            backends=_backends(one, endpoint, None),
            unavailable=_unavailable(one.runtime),
        )


def _exposed(one: Situated, endpoint: RoutedEndpoint, domain: str) -> Iterable[Route]:
    ports = one.ports.get(endpoint.live_version or 0)
    for port in ports.exposed if ports else ():
        yield Route(
            id=f"{endpoint.id}-{port}",
            hosts=(f"{hosts.port_label(port, one.runtime.id)}.{domain}",),
            backends=_backends(one, endpoint, port),
            unavailable=_unavailable(one.runtime),
        )


def _backends(one: Situated, endpoint: RoutedEndpoint, port: int | None) -> tuple[Backend, ...]:
    found = []
    for replica in one.replicas:
        draining = replica.status == ReplicaStatus.STOPPING
        serves = replica.status == ReplicaStatus.READY and replica.version == endpoint.live_version
        if replica.address and (serves or draining):
            ports = one.ports.get(replica.version)
            found.append(Backend(replica.id, replica.address, port or (ports.agent if ports else AGENT_PORT), draining))
    return tuple(found)


def _unavailable(runtime: RoutedRuntime) -> Unavailable:
    match runtime.status:
        case Status.STOPPED | Status.STOPPING:
            return Unavailable("runtime_stopped", f'runtime "{runtime.name}" is stopped; start it to call it', 60)
        case Status.DELETING:
            return Unavailable("runtime_deleting", f'runtime "{runtime.name}" is being deleted', 60)
        case Status.ERROR:
            return Unavailable("no_ready_replica", f'runtime "{runtime.name}" has no ready replica', 10)
        case _:
            return Unavailable("no_ready_replica", f'runtime "{runtime.name}" has no ready replica yet', 1)
