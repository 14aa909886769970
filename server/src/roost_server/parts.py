"""Builds the engine and the gateway that the settings name. Part of `server.py`'s job, kept apart for its size.

The OCI engine is imported only where it is chosen: it needs Linux, root and tools that the simulated one does not.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from roost_server.engines.engine import Engine, Hosted, Images, Reachable
from roost_server.engines.simulated import SimulatedEngine, SimulatedImages
from roost_server.gateway.envoy import EnvoyGateway
from roost_server.gateway.gateway import Gateway
from roost_server.gateway.sessions import Keeper
from roost_server.gateway.settings import GatewaySettings
from roost_server.gateway.simulated import SimulatedGateway
from roost_server.settings import Settings

if TYPE_CHECKING:
    from roost_server.engines.oci.settings import OciSettings

HOST_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


def build_engine(settings: Settings) -> tuple[Engine, Images]:
    """What runs replicas, and what keeps images."""
    if settings.engine == "simulated":
        return SimulatedEngine(), SimulatedImages()
    from roost_server.engines.oci.engine import OciEngine
    from roost_server.engines.oci.images.oci_images import ImageSettings, OciImages

    images = OciImages(
        ImageSettings(
            data_dir=settings.data_dir,
            id_map_start=settings.id_map_start,
            insecure_registries=tuple(settings.insecure_registries),
            extra_ca_certificates=settings.extra_ca_certificates or HOST_BUNDLE,
        )
    )
    return OciEngine(oci_settings(settings), images), images


def oci_settings(settings: Settings) -> OciSettings:
    """The OCI engine's share of the settings."""
    from roost_server.engines.oci.settings import OciSettings

    return OciSettings(
        data_dir=settings.data_dir,
        run_dir=settings.run_dir,
        network_cidr=settings.network_cidr,
        id_map_start=settings.id_map_start,
        stop_grace_seconds=settings.stop_grace_seconds,
        extra_ca_certificates=settings.extra_ca_certificates,
        log_max_mb=settings.log_max_mb,
        api_port=settings.api_port,
    )


def build_gateway(settings: Settings, keeper: Keeper | None = None) -> Gateway:
    """`keeper` knows to which version of an endpoint a session belongs."""
    if settings.gateway == "simulated" or (settings.gateway == "auto" and settings.engine == "simulated"):
        return SimulatedGateway()
    return EnvoyGateway(
        GatewaySettings(
            data_dir=settings.data_dir,
            run_dir=settings.run_dir,
            http_host=settings.http_host,
            http_port=settings.http_port,
            https_port=settings.https_port,
            domain=settings.domain,
            workers=settings.gateway_workers,
            tls_certificate=settings.tls_certificate,
            tls_key=settings.tls_key,
            otlp_endpoint=settings.otlp_endpoint,
        ),
        keeper,
    )


async def start(engine: Engine) -> None:
    """Prepare the host and adopt what runs."""
    if isinstance(engine, Hosted):
        await engine.start()


def host_address(engine: Engine) -> str | None:
    """Where boxes of this engine, once started, reach the API; None where they cannot."""
    return engine.host_address() if isinstance(engine, Reachable) else None


async def close(engine: Engine) -> None:
    """Let go of the engine; replicas keep running."""
    if isinstance(engine, Hosted):
        await engine.close()


async def destroy(engine: Engine) -> None:
    """Remove every box of this installation and what was prepared for them on the host."""
    if isinstance(engine, Hosted):
        await engine.start()
        await engine.destroy()
