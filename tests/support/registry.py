"""A real image registry on a free loopback port: Debian's docker-registry, with or without a password.

with registry.running(tmp_path, user=("maria", "secret")) as started:
    started.put_image("team/agent:v1", layers=[{"bin/agent": b"…"}])
    await images.pull(f"{started.host}/team/agent:v1", …)
"""

import contextlib
import ctypes
import hashlib
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

CONFIG = """
version: 0.1
log: {{accesslog: {{disabled: false}}, level: info}}
storage: {{filesystem: {{rootdirectory: {storage}}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:0"}}
{auth}
"""
AUTH = 'auth: {{htpasswd: {{realm: "roost", path: "{path}"}}}}'
LISTENING = re.compile(r'listening on 127\.0\.0\.1:(\d+)"')
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True)
class Registry:
    """`host` is what references begin with; `storage` is where its blobs lie, to be spoilt on purpose."""

    host: str
    user: tuple[str, str] | None
    storage: Path
    log: Path

    def put_blob(self, repository: str, content: bytes) -> str:
        """Upload a blob; its digest."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        with self._client() as client:
            begun = client.post(f"/v2/{repository}/blobs/uploads/")
            begun.raise_for_status()
            where = httpx.URL(begun.headers["Location"]).copy_merge_params({"digest": digest})
            client.put(where, content=content).raise_for_status()
        return digest

    def put_manifest(self, repository: str, manifest: dict[str, Any], tag: str | None = None) -> str:
        """Upload a manifest or index under a tag (or its digest); its digest."""
        content = json.dumps(manifest).encode()
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        headers = {"Content-Type": manifest["mediaType"]}
        with self._client() as client:
            client.put(
                f"/v2/{repository}/manifests/{tag or digest}", content=content, headers=headers
            ).raise_for_status()
        return digest

    def blob(self, digest: str) -> Path:
        """Where the registry keeps a blob."""
        name = digest.removeprefix("sha256:")
        return self.storage / "docker/registry/v2/blobs/sha256" / name[:2] / name / "data"

    def downloads(self, digest: str) -> int:
        """How often a blob was asked for."""
        return sum('"GET /v2/' in line and f"/blobs/{digest}" in line for line in self.log.read_text().splitlines())

    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=f"http://{self.host}", auth=self.user, follow_redirects=True, timeout=60)


@contextlib.contextmanager
def running(folder: Path, user: tuple[str, str] | None = None) -> Iterator[Registry]:
    """A registry that keeps its files in `folder`, for as long as the block runs."""
    program = shutil.which("docker-registry")
    if not program:
        pytest.fail("these tests need a registry: install the Debian package docker-registry")
    storage, log, config = folder / "storage", folder / "registry.log", folder / "config.yml"
    config.write_text(CONFIG.format(storage=storage, auth=_auth(folder, user)))
    with log.open("wb") as file:
        process = subprocess.Popen([program, "serve", str(config)], stdout=file, stderr=file)
    try:
        yield Registry(f"localhost:{_port(log, process)}", user, storage, log)
    finally:
        process.kill()
        process.wait()


def _auth(folder: Path, user: tuple[str, str] | None) -> str:
    if user is None:
        return ""
    passwords = folder / "htpasswd"
    passwords.write_text(f"{user[0]}:{_bcrypt(user[1])}\n")
    return AUTH.format(path=passwords)


def _port(log: Path, process: "subprocess.Popen[bytes]") -> str:
    """The free port that it took, which it tells once it listens."""
    while process.poll() is None:
        if found := LISTENING.search(log.read_text()):
            return found[1]
        time.sleep(0.005)
    pytest.fail(f"docker-registry ended: {log.read_text()}")


def _bcrypt(password: str) -> str:
    """The only kind of hash the registry reads, by the system's libcrypt."""
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    hashed: bytes = crypt(password.encode(), b"$2y$05$abcdefghijklmnopqrstuu")
    return hashed.decode()
