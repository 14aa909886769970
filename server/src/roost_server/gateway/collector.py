"""The address of an OpenTelemetry collector."""

from dataclasses import dataclass
from urllib.parse import urlsplit

USUAL_PORT = 4317
"""Of OTLP over gRPC."""


@dataclass(frozen=True)
class Collector:
    host: str
    port: int
    tls: bool


def parse(endpoint: str) -> Collector:
    """Of `http://host:4317`, `https://…` or `host:4317`. Raises ValueError."""
    url = urlsplit(endpoint if "://" in endpoint else f"http://{endpoint}")
    try:
        port = url.port or USUAL_PORT
    except ValueError:
        port = 0
    if url.scheme not in ("http", "https") or not url.hostname or not port:
        raise ValueError(f'"{endpoint}" is no address such as http://localhost:4317')
    return Collector(url.hostname, port, url.scheme == "https")
