"""Every setting: its name, default and one sentence. Read once in `server.py` and handed over; nothing else
reads the environment. `roost-server settings` prints this table."""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

STANDARD_COLLECTOR = "OTEL_EXPORTER_OTLP_ENDPOINT"
"""As OpenTelemetry's own libraries name it."""


class Settings(BaseSettings):
    """Environment variables are the field names in upper case with the prefix ROOST_; they win over the file."""

    model_config = SettingsConfigDict(env_prefix="ROOST_", extra="ignore", toml_file=None)

    data_dir: Path = Field(Path("/var/lib/roost"), description="Where everything that must survive is kept.")
    run_dir: Path = Field(Path("/run/roost"), description="Where sockets and other short-lived files are kept.")
    api_host: str = Field("127.0.0.1", description="The address the API listens on.")
    api_port: int = Field(7070, ge=1, le=65535, description="The port of the API.")
    http_host: str = Field("0.0.0.0", description="The address the gateway listens on.")
    http_port: int = Field(7080, ge=1, le=65535, description="The gateway's port for plain HTTP.")
    https_port: int = Field(7443, ge=1, le=65535, description="The gateway's port for TLS.")
    domain: str = Field("localhost", description="Runtimes are reached at one label under this domain.")
    access_token_seconds: int = Field(
        1800, ge=60, le=86_400, description="How long an access token of the token endpoint is good for."
    )
    database_url: str | None = Field(
        None,
        description="PostgreSQL as postgresql://user:password@host/name; SQLite in the data directory if unset.",
    )
    admin_token: str | None = Field(
        None, min_length=16, description="The admin token; made and printed at the first start if unset."
    )
    engine: Literal["oci", "simulated"] = Field("oci", description="What replicas run on.")
    gateway: Literal["auto", "envoy", "simulated"] = Field(
        "auto", description="What brings traffic in; `auto` is Envoy, unless the engine is simulated."
    )
    insecure_registries: list[str] = Field(
        [], description="Registry hosts reached over plain HTTP; those on loopback addresses always are."
    )
    tls_certificate: Path | None = Field(
        None, description="The gateway's certificate chain (PEM); a local CA's if unset."
    )
    tls_key: Path | None = Field(None, description="The private key of the gateway's certificate (PEM).")
    otlp_endpoint: str | None = Field(
        None,
        description="An OpenTelemetry collector that spans of requests are sent to over OTLP/gRPC, such as "
        "http://localhost:4317; that of OTEL_EXPORTER_OTLP_ENDPOINT, or none, if unset.",
    )
    gateway_workers: int = Field(2, ge=1, le=64, description="Envoy worker threads.")
    drain_seconds: float = Field(30.0, ge=0, le=3600, description="How long requests in flight may go on at a stop.")
    rollback_seconds: float = Field(
        600.0,
        ge=0,
        le=86_400,
        description="How long a replaced version stays ready, so that going back is quick.",
    )
    stop_grace_seconds: float = Field(10.0, ge=0, le=600, description="Between a replica's stop signal and its kill.")
    network_cidr: str | None = Field(
        None,
        description="The replicas' addresses, such as 10.213.0.0/16; a free range is chosen if unset.",
    )
    id_map_start: int = Field(231072, ge=65536, description="Host user id that a replica's root is mapped to.")
    extra_ca_certificates: Path | None = Field(
        None,
        description="A PEM bundle mounted into replicas as extra trusted CAs; builds default to the host's.",
    )
    log_max_mb: int = Field(50, ge=1, le=100_000, description="Log size per replica, rotation included, in MiB.")
    image_keep_hours: float = Field(24.0, ge=0, description="How long an unused image stays on this machine.")
    measure_seconds: float = Field(
        10.0, ge=1, le=60, description="How often what replicas use and endpoints answer is measured."
    )
    metrics_keep_hours: float = Field(
        24.0, ge=1, le=8784, description="How long measurements are kept, after an hour as one for every five minutes."
    )
    scale_in_seconds: float = Field(
        120.0, ge=0, le=86_400, description="For how long fewer replicas must do before there are fewer."
    )
    max_body_mb: int = Field(4, ge=1, le=1024, description="Largest JSON body the API accepts, in MiB.")
    log_format: Literal["text", "json"] = Field("text", description="How the server writes its own log.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls))


def load(toml_file: Path | None = None) -> Settings:
    """Settings from the environment over `toml_file`. Raises pydantic's ValidationError naming the setting."""

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=toml_file)

    settings = FromFile()
    return settings.model_copy(update={"otlp_endpoint": settings.otlp_endpoint or os.environ.get(STANDARD_COLLECTOR)})
