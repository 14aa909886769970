"""What the Envoy gateway needs to be told; `server.py` fills it from the platform's settings."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from roost_server.domain import errors
from roost_server.gateway import collector

SOCKET_PATH_MAX = 107
"""Bytes of a unix socket's path that Linux accepts (108 with the closing zero)."""

IDLE_SECONDS = 1.5
"""Shorter than the keep-alive of common servers (gunicorn 2 s, uvicorn and Node 5 s), so that Envoy lets go of an
idle connection first and never sends a request into one that is just being closed."""


@dataclass(frozen=True)
class GatewaySettings:
    """Everything below `data_dir` survives a reboot; `run_dir` holds sockets and the identity of Envoy's process.
    A connection to a replica is kept for `idle_seconds`; a request of a session waits for `session_patience_seconds` to
    be told the session's version."""

    data_dir: Path
    run_dir: Path
    http_host: str = "0.0.0.0"
    http_port: int = 7080
    https_port: int = 7443
    domain: str = "localhost"
    workers: int = 2
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    otlp_endpoint: str | None = None
    stream_idle_seconds: int = 3600
    connect_timeout_seconds: float = 2.0
    idle_seconds: float = IDLE_SECONDS
    session_patience_seconds: float = 0.25
    confirm_seconds: float = 5.0
    start_seconds: float = 15.0

    @property
    def gateway_dir(self) -> Path:
        """Only root may enter: the xDS stream carries private keys."""
        return self.run_dir / "gateway"

    @property
    def xds_socket(self) -> Path:
        return self.gateway_dir / "xds.sock"

    @property
    def admin_socket(self) -> Path:
        return self.gateway_dir / "admin.sock"

    @property
    def sessions_socket(self) -> Path:
        return self.gateway_dir / "sessions.sock"

    @property
    def log_file(self) -> Path:
        return self.data_dir / "logs" / "envoy.log"

    @property
    def tls_dir(self) -> Path:
        return self.data_dir / "tls"

    def check(self) -> None:
        """Raises `Invalid` naming the setting that cannot be used."""
        self._check_addresses()
        self._check_collector()
        for path in (self.xds_socket, self.admin_socket, self.sessions_socket):
            if len(str(path).encode()) > SOCKET_PATH_MAX:
                raise errors.Invalid(
                    f'cannot use run_dir "{self.run_dir}": the socket path {path} is longer than {SOCKET_PATH_MAX} '
                    "bytes; choose a shorter run_dir"
                )
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise errors.Invalid("cannot use tls_certificate without tls_key or the other way round: set both")

    def _check_collector(self) -> None:
        try:
            if self.otlp_endpoint is not None:
                collector.parse(self.otlp_endpoint)
        except ValueError as error:
            raise errors.Invalid(f"cannot use otlp_endpoint: {error}") from error

    def _check_addresses(self) -> None:
        try:
            ipaddress.ip_address(self.http_host)
        except ValueError as error:
            raise errors.Invalid(f'cannot use http_host "{self.http_host}": it must be an IP address') from error
        if self.http_port == self.https_port:
            raise errors.Invalid(f"cannot use {self.http_port} for both http_port and https_port: choose two ports")
