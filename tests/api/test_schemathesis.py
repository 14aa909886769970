"""The running server against its own OpenAPI document: no bug, no undocumented answer."""

import subprocess
import sys
from pathlib import Path

import pytest
from support import served
from support.served import TOKEN

pytestmark = pytest.mark.slow

CONFIG = """
[parameters]
"path.org" = "default"
"path.ws" = "default"
"path.runtime" = "agent"
"path.image" = "builtin:runtime"
"path.endpoint" = "DEFAULT"
"path.number" = 1
"path.flavor" = "1x1-general"
"query.wait" = 0
"query.follow" = false
"path.runtime_id" = "runtime-{agent}"
"path.endpoint_id" = "{endpoint}"

[[operations]]
include-method = "DELETE"
[operations.parameters]
"path.runtime" = "doomed"
"path.endpoint" = "doomed"
"path.flavor" = "doomed"
"path.runtime_id" = "doomed"
"""

EXCLUDED = "positive_data_acceptance"
"""Rules that span fields cannot be said in a schema; these have tests of their own."""

NOT_OF_THE_SERVER = "too_slow"
"""How long it takes to think of requests says nothing of the server."""


def test_the_server_keeps_to_its_own_document(tmp_path: Path) -> None:
    with served.running(tmp_path) as server:
        made = {}
        for name in ("agent", "doomed"):
            made[name] = server.http.post("/runtimes?wait=60", json={"name": name}).json()
            assert made[name]["status"] == "active"
        assert server.http.post("/runtimes/doomed/endpoints", json={"name": "doomed"}).status_code == 201
        doomed = {"name": "doomed", "cpu_cores": 0.5, "memory_mb": 512}
        assert server.http.post("/flavors", json=doomed).status_code == 201
        ids = {"agent": made["agent"]["id"], "endpoint": made["agent"]["endpoints"][0]["id"]}
        (tmp_path / "schemathesis.toml").write_text(CONFIG.format(**ids))
        command = [Path(sys.executable).parent / "schemathesis", "--config-file", "schemathesis.toml"]
        command += ["run", f"{server.url}/openapi.json", "-H", f"Authorization: Bearer {TOKEN}", "--seed", "1"]
        command += ["--max-examples", "25", "--phases", "examples,coverage,fuzzing", "--request-timeout", "30"]
        command += ["--continue-on-failure", "--exclude-checks", EXCLUDED, "--warnings", "off", "--no-color"]
        command += ["--suppress-health-check", NOT_OF_THE_SERVER]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
        assert "a handler failed" not in server.log and "cannot reconcile" not in server.log, server.log
