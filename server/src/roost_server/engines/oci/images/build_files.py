"""The files a build needs around it: certificates, registries, policy, and the wrapper that runs its containers.

RUN steps trust what the host trusts, by a mounted bundle and variables that never get into the image. buildah has no
way to give variables to steps alone, so the wrapper around the container runtime adds them to each container.
"""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

HOST_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
BUNDLE_IN_BUILDS = "/dev/roost-ca.crt"
CA_VARIABLES = (
    "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO",
    "AWS_CA_BUNDLE", "CARGO_HTTP_CAINFO", "DENO_CERT",
)  # fmt: skip
RUNTIME = """#!/bin/sh
# Runs the container runtime; a container that is created also gets the certificate variables.
create= bundle=
for word in "$@"; do
    [ "$word" = create ] && create=1
    [ "$previous" = --bundle ] && bundle=$word
    previous=$word
done
if [ -n "$create" ] && [ -f "$bundle/config.json" ]; then
    for name in %(names)s; do
        grep -q "\\"$name=" "$bundle/config.json" ||
            sed -i "s#\\"env\\":\\[#&\\"$name=%(bundle)s\\",#" "$bundle/config.json"
    done
fi
exec %(runtime)s --root /mnt/run/%(runtime)s "$@"
"""


def write(folder: Path, loopback_hosts: Iterable[str], extra_ca_certificates: Path | None) -> None:
    """Fill `folder`, which builds see as /mnt/conf."""
    folder.mkdir()
    (folder / "runtime").write_text(_runtime())
    (folder / "runtime").chmod(0o755)
    (folder / "ca.crt").write_bytes(_trusted(extra_ca_certificates))
    (folder / "auth.json").write_text('{"auths": {}}')
    (folder / "policy.json").write_text(json.dumps({"default": [{"type": "insecureAcceptAnything"}]}))
    (folder / "registries.conf").write_text(_registries(loopback_hosts))


def _runtime() -> str:
    runtime = next((name for name in ("runc", "crun") if shutil.which(name)), "runc")
    return RUNTIME % {"names": " ".join(CA_VARIABLES), "bundle": BUNDLE_IN_BUILDS, "runtime": runtime}


def _trusted(extra: Path | None) -> bytes:
    """The host's bundle and the operator's, in one."""
    paths = dict.fromkeys(path for path in (HOST_BUNDLE, extra) if path and path.is_file())
    return b"\n".join(path.read_bytes() for path in paths)


def _registries(loopback_hosts: Iterable[str]) -> str:
    hosts = sorted(set(loopback_hosts))
    insecure = "".join(f'[[registry]]\nlocation = "{host}"\ninsecure = true\n' for host in hosts)
    return f'unqualified-search-registries = ["docker.io"]\nshort-name-mode = "disabled"\n{insecure}'
