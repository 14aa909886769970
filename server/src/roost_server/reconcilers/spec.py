"""From a version's configuration to what an engine is asked to make."""

from roost_server.domain.image import Image
from roost_server.domain.replica import Replica, ReplicaSpec
from roost_server.domain.runtime import Runtime
from roost_server.domain.version import Version


def spec_of(
    runtime: Runtime, version: Version, image: Image, replica: Replica, stop_grace_seconds: float
) -> ReplicaSpec:
    """The box of one replica. Raises nothing: the configuration was validated when the version was made."""
    process = version.config.process
    assert image.digest is not None
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
        env={**version.config.runtime_server.env, **_injected(runtime, version, replica, stop_grace_seconds)},
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
