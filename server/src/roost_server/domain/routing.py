"""From runtimes, endpoints and replicas to the whole snapshot that the gateway is told. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from roost_server.domain import endpoint as hosts
from roost_server.domain.config import RuntimeConfig
from roost_server.domain.endpoint import AGENT_PORT, DEFAULT, Endpoint
from roost_server.domain.replica import Replica, ReplicaStatus
from roost_server.domain.route import Backend, Route, Snapshot, Unavailable
from roost_server.domain.runtime import Runtime, Status


@dataclass(frozen=True)
class Situated:
    """A runtime with all that its routes depend on. `configs` holds the versions its replicas run, by number."""

    runtime: Runtime
    workspace: str
    organization: str
    endpoints: Sequence[Endpoint]
    replicas: Sequence[Replica]
    configs: Mapping[int, RuntimeConfig]


def snapshot(situated: Iterable[Situated], domain: str) -> Snapshot:
    """Every route of the installation."""
    return Snapshot(tuple(route for one in situated for route in _routes(one, domain)))


def routed(whole: Snapshot) -> set[str]:
    """Replicas that get new requests under this snapshot."""
    return {backend.replica_id for route in whole.routes for backend in route.backends if not backend.draining}


def _routes(one: Situated, domain: str) -> Iterable[Route]:
    for endpoint in one.endpoints:
        labels = [endpoint.id]
        if endpoint.name == DEFAULT:
            labels += [one.runtime.id, hosts.alias(one.runtime.name, one.workspace, one.organization) or ""]
            yield from _exposed(one, endpoint, domain)
        yield Route(
            id=endpoint.id,
            hosts=tuple(f"{label}.{domain}" for label in labels if label),
            backends=_backends(one, endpoint, None),
            unavailable=_unavailable(one.runtime),
        )


def _exposed(one: Situated, endpoint: Endpoint, domain: str) -> Iterable[Route]:
    config = one.configs.get(endpoint.live_version or 0)
    for port in config.sandbox.exposed_ports if config else ():
        yield Route(
            id=f"{endpoint.id}-{port}",
            hosts=(f"{hosts.port_label(port, one.runtime.id)}.{domain}",),
            backends=_backends(one, endpoint, port),
            unavailable=_unavailable(one.runtime),
        )


def _backends(one: Situated, endpoint: Endpoint, port: int | None) -> tuple[Backend, ...]:
    found = []
    for replica in one.replicas:
        draining = replica.status == ReplicaStatus.STOPPING
        serves = replica.status == ReplicaStatus.READY and replica.version == endpoint.live_version
        if replica.address and (serves or draining):
            found.append(Backend(replica.id, replica.address, port or _agent_port(one, replica), draining))
    return tuple(found)


def _agent_port(one: Situated, replica: Replica) -> int:
    config = one.configs.get(replica.version)
    return config.probe.port if config and config.probe else AGENT_PORT


def _unavailable(runtime: Runtime) -> Unavailable:
    match runtime.status:
        case Status.STOPPED | Status.STOPPING:
            return Unavailable("runtime_stopped", f'runtime "{runtime.name}" is stopped; start it to call it', 60)
        case Status.DELETING:
            return Unavailable("runtime_deleting", f'runtime "{runtime.name}" is being deleted', 60)
        case Status.ERROR:
            return Unavailable("no_ready_replica", f'runtime "{runtime.name}" has no ready replica', 10)
        case _:
            return Unavailable("no_ready_replica", f'runtime "{runtime.name}" has no ready replica yet', 1)
