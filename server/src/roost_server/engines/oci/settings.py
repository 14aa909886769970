"""What the oci engine needs to know, handed over by the server; nothing here reads the environment."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class OciSettings:
    """`data_dir` survives restarts of the machine, `run_dir` need not; both may be shared with other parts.

    `api_port` is the one port of the host, at its address in the replicas' network, that replicas may reach."""

    data_dir: Path
    run_dir: Path
    network_cidr: str | None = None
    id_map_start: int = 231072
    stop_grace_seconds: float = 10.0
    extra_ca_certificates: Path | None = None
    log_max_mb: int = 50
    api_port: int | None = None
    runtime: str = "runc"
    init: Path = Path("/usr/bin/catatonit")
