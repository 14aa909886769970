"""The files a box gets from its host: its name, its resolvers, its extra certificate authorities."""

import ipaddress
import os
from pathlib import Path

from roost_server.engines.oci import rootfs

RESOLVERS = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
"""The second names the real resolvers where the first only names systemd's stub on this host."""
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
CERTIFICATES_INSIDE = "/.roost/ca-certificates.crt"
CERTIFICATE_VARIABLES = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "PIP_CERT",
    "GIT_SSL_CAINFO",
)


def hosts(hostname: str, address: str) -> str:
    return f"127.0.0.1\tlocalhost\n{address}\t{hostname}\n"


def resolv_conf() -> str:
    """The host's resolvers that a box can reach. May name none; `doctor` says so."""
    for path in RESOLVERS:
        lines = path.read_text().splitlines() if path.exists() else []
        kept = [line for line in lines if _is_useful(line)]
        if any(line.startswith("nameserver") for line in kept):
            return "\n".join(kept) + "\n"
    return ""


def _is_useful(line: str) -> bool:
    words = line.split()
    if len(words) >= 2 and words[0] == "nameserver":
        return is_reachable_resolver(words[1])
    return bool(words) and words[0] in ("search", "options", "domain")


def is_reachable_resolver(address: str) -> bool:
    """IPv4 and neither this host's own loopback nor link-local: boxes reach nothing else."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return parsed.version == 4 and not (parsed.is_loopback or parsed.is_link_local or parsed.is_unspecified)


def certificates(image_root: Path, extra: Path) -> bytes:
    """What the image trusts already, and the operator's authorities."""
    own = rootfs.resolve(image_root, CERTIFICATES)
    trusted = own.read_bytes() if own is not None and own.is_file() else b""
    return trusted + b"\n" + extra.read_bytes()


def write(bundle: Path, hostname: str, address: str, root_id: int) -> None:
    """Owned by the box's root, so that it may change its own copies."""
    texts = {"hostname": f"{hostname}\n", "hosts": hosts(hostname, address), "resolv.conf": resolv_conf()}
    for name, text in texts.items():
        (bundle / name).write_text(text)
        os.chown(bundle / name, root_id, root_id)
