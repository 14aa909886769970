"""From a version's configuration to what an engine is asked to make."""

from dataclasses import dataclass, field

from roost_server.domain import endpoint as hosts
from roost_server.domain.image import Image
from roost_server.domain.replica import Replica, ReplicaSpec
from roost_server.domain.runtime import Runtime
from roost_server.domain.service_account import client_id_of
from roost_server.domain.version import Version


@dataclass(frozen=True)
class Surroundings:
    """Where a replica is: the API as it reaches it, and how URLs of endpoints are made."""

    api_url: str
    domain: str
    http_port: int


@dataclass(frozen=True)
class Identity:
    """Who a replica is: the secret of its runtime's service account, and the slugs of where the runtime belongs."""

    secret: str = field(repr=False)
    organization: str
    workspace: str


def spec_of(
    runtime: Runtime,
    version: Version,
    image: Image,
    replica: Replica,
    stop_grace_seconds: float,
    identity: dict[str, str],
) -> ReplicaSpec:
    """The box of one replica. What the platform says wins over variables of the same name in the configuration, so
    that an agent can rely on it. Raises nothing: the configuration was validated when the version was made."""
    process = version.config.process
    assert image.digest is not None
    own = _injected(runtime, version, replica, stop_grace_seconds)
    return ReplicaSpec(
        id=replica.id,
        runtime_id=runtime.id,
        hostname=runtime.name,
        image_digest=image.digest,
        resources=version.resources,
        command=process.command,
        args=process.args,
        user=process.user,
        workdir=process.workdir,
        env={**version.config.runtime_server.env, **own, **identity},
        stop_grace_seconds=stop_grace_seconds,
    )


def _injected(runtime: Runtime, version: Version, replica: Replica, stop_grace_seconds: float) -> dict[str, str]:
    return {
        "ROOST_RUNTIME_ID": runtime.id,
        "ROOST_RUNTIME_NAME": runtime.name,
        "ROOST_REPLICA_ID": replica.id,
        "ROOST_VERSION": str(version.number),
        "ROOST_STOP_GRACE_SECONDS": f"{stop_grace_seconds:g}",
    }


def variables_of(runtime: Runtime, identity: Identity, around: Surroundings) -> dict[str, str]:
    """Who the replica is and how it proves that, under Roost's names and under AgentBase's."""
    both = {
        "CLIENT_ID": client_id_of(runtime.id),
        "CLIENT_SECRET": identity.secret,
        "AGENT_IDENTITY": runtime.name,
        "ENDPOINT_URL": hosts.url_of(runtime.id, around.domain, around.http_port),
    }
    return {
        **{f"{product}_{name}": value for product in ("ROOST", "GREENNODE") for name, value in both.items()},
        "ROOST_URL": around.api_url,
        "ROOST_TOKEN_URL": f"{around.api_url}/oauth/token",
        "ROOST_JWKS_URL": f"{around.api_url}/.well-known/jwks.json",
        "ROOST_ORG": identity.organization,
        "ROOST_WORKSPACE": identity.workspace,
    }
