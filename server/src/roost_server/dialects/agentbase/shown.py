"""What AgentBase's callers are shown of Roost's rows: ids with prefixes and states in capitals."""

from collections.abc import Mapping

from roost_server.dialects.agentbase import models
from roost_server.dialects.agentbase.context import Parts
from roost_server.dialects.agentbase.specs import POC, inbound, spec
from roost_server.domain.endpoint import EndpointStatus
from roost_server.domain.flavor import Flavor
from roost_server.domain.runtime import Event, Status
from roost_server.domain.version import Version
from roost_server.operations.deployments import Deployment
from roost_server.operations.views import EndpointView

STATES: Mapping[Status, str] = {
    Status.CREATING: "CREATING",
    Status.ACTIVE: "ACTIVE",
    Status.UPDATING: "UPDATING",
    Status.STARTING: "STARTING",
    Status.STOPPING: "STOPPING",
    Status.STOPPED: "STOPPED",
    Status.PAUSED: "STOPPED",  # answers nothing until it is resumed
    Status.SUSPENDED: "ACTIVE",  # a request wakes it
    Status.ERROR: "ERROR",
    Status.DELETING: "DELETING",
}

ENDPOINT_STATES: Mapping[EndpointStatus, str] = {
    EndpointStatus.CREATING: "CREATING",
    EndpointStatus.ACTIVE: "ACTIVE",
    EndpointStatus.UPDATING: "UPDATING",
    EndpointStatus.STARTING: "STARTING",
    EndpointStatus.STOPPING: "STOPPING",
    EndpointStatus.STOPPED: "STOPPED",
    EndpointStatus.ERROR: "ERROR",
    EndpointStatus.DELETING: "DELETING",
}


def runtime(deployment: Deployment) -> models.AgentRuntimeDto:
    row = deployment.view.runtime
    return models.AgentRuntimeDto(
        **dict(spec(deployment.version.config)),
        id=f"runtime-{row.id}",
        name=row.name,
        description=row.description,
        status=STATES[row.status],
        statusReason=row.message,
        poc=row.labels.get(POC) == "true",
        createdAt=row.created_at,
        updatedAt=row.updated_at,
    )


def version(deployment: Deployment, row: Version) -> models.AgentRuntimeVersionEntity:
    """One version of the deployment's runtime."""
    runtime, access = deployment.view.runtime, deployment.default.endpoint.access
    is_latest = row.number == runtime.version
    return models.AgentRuntimeVersionEntity(
        **dict(spec(row.config)),
        agentRuntimeId=f"runtime-{runtime.id}",
        version=row.number,
        description=runtime.description if is_latest else None,
        networkConfig=models.NetworkEntity(),
        allowedCidrs=access.allowed_cidrs if is_latest else None,
        inboundAuth=inbound(access) if is_latest else None,
        createdAt=row.created_at,
    )


def endpoint(parts: Parts, view: EndpointView) -> models.AgentRuntimeEndpointDto:
    row, runtime = view.endpoint, view.runtime
    target, state = row.target(runtime.applied_version), ENDPOINT_STATES[view.status]
    return models.AgentRuntimeEndpointDto(
        id=f"endpoint-{row.id}",
        agentRuntimeId=f"runtime-{runtime.id}",
        name=row.name,
        version=target,
        targetVersion=target,
        liveVersion=row.live_version,
        currentReplicaCount=view.ready,
        url=parts.url_of(row.id),
        status=state,
        displayStatus=state,
        createdAt=row.created_at,
        updatedAt=row.updated_at,
    )


def happening(event: Event) -> models.KubeEventDto:
    return models.KubeEventDto(message=event.message, lastTimestamp=event.created_at)


def flavor(row: Flavor, *, is_available: bool) -> models.FlavorEntity:
    return models.FlavorEntity(
        id=row.name,
        name=row.name,
        cpu=int(row.cpu_cores) if row.cpu_cores.is_integer() else row.cpu_cores,
        ram=row.memory_mb,
        supportedResourceTypes=["agent-runtime"],
        enabled=is_available,
        deleted=False,
    )
