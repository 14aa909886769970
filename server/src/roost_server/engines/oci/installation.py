"""Installation: what tells this data directory's boxes from those of any other on the same machine.

Its id is in every name the engine gives to something of the host: tables, interfaces, cgroups, run directories.
"""

import json
import secrets
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from roost_server.engines.oci.network import addresses
from roost_server.engines.oci.network.claim import claim
from roost_server.engines.oci.settings import OciSettings

VETH_FAMILY = "rst"
"""Begins the interface names of all installations, so that each keeps its boxes away from the others'."""


@dataclass(frozen=True)
class Installation:
    id: str
    network: IPv4Network
    data: Path
    run: Path

    @property
    def table(self) -> str:
        """The nftables table."""
        return f"roost_{self.id}"

    @property
    def cgroup(self) -> str:
        """The parent of all its cgroups, below each hierarchy's root."""
        return f"roost-{self.id}"

    @property
    def veth_prefix(self) -> str:
        return _veth_prefix(self.id)

    @property
    def host_address(self) -> IPv4Address:
        """The host's own address in the replicas' network."""
        return addresses.gateway(self.network)

    @property
    def boxes(self) -> Path:
        return self.data / "boxes"

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    @property
    def bundles(self) -> Path:
        return self.run / "boxes"

    @property
    def exits(self) -> Path:
        return self.run / "exits"

    @property
    def runc_root(self) -> Path:
        return self.run / "runc"

    def box(self, replica_id: str) -> Path:
        return self.boxes / replica_id

    def bundle(self, replica_id: str) -> Path:
        return self.bundles / replica_id


def load(settings: OciSettings) -> Installation:
    """The installation of this data directory, made at the first call, with its range of addresses: `claim.py`."""
    path = settings.data_dir / "oci.json"
    kept = json.loads(path.read_text()) if path.exists() else {"id": secrets.token_hex(3)}
    asked = addresses.parse(settings.network_cidr) if settings.network_cidr is not None else None
    before = IPv4Network(kept["network"]) if "network" in kept else None
    kept["network"] = str(claim(kept["id"], _veth_prefix(kept["id"]), asked=asked, kept=before))
    _keep(path, json.dumps(kept))
    return _installation(settings, kept)


def existing(settings: OciSettings) -> Installation | None:
    """The installation if there is one; makes nothing."""
    path = settings.data_dir / "oci.json"
    return _installation(settings, json.loads(path.read_text())) if path.exists() else None


def _installation(settings: OciSettings, kept: dict[str, str]) -> Installation:
    run = settings.run_dir / f"oci-{kept['id']}"
    return Installation(kept["id"], IPv4Network(kept["network"]), settings.data_dir, run)


def _veth_prefix(id_: str) -> str:
    return f"{VETH_FAMILY}{id_}"


def _keep(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        partial = path.with_suffix(".partial")
        partial.write_text(text)
        partial.replace(path)
