"""Roost, over its HTTP API: a server that runs already (ROOST_URL, ROOST_TOKEN), or one started for the purpose."""

from typing import Any
from urllib.parse import urlsplit

import httpx

from bench.side import AGENT_PORT, CPU_CORES, MAX_PROCESSES, MEMORY_MB, Address, Agent

WAIT_SECONDS = 300


class Roost:
    """One installation. `url` is the API's, such as http://127.0.0.1:7070."""

    name = "roost"

    def __init__(self, url: str, token: str, org: str = "default", workspace: str = "default") -> None:
        self._gateway = urlsplit(url).hostname or "127.0.0.1"
        self._http = httpx.Client(
            base_url=f"{url.rstrip('/')}/api/v1/org/{org}/ws/{workspace}",
            headers={"authorization": f"Bearer {token}"},
            timeout=WAIT_SECONDS + 10,
        )

    def version(self) -> str:
        return "Roost, user namespace, firewall, routed through the gateway"

    def create(self, name: str) -> str:
        return str(self._create(name, {})["id"])

    def exec(self, box: str, command: list[str]) -> str:
        outcome = self._call("POST", f"/runtimes/{box}/exec", json={"command": command}).json()
        if outcome["exit_code"] != 0:
            raise RuntimeError(f"cannot run {command}: {outcome}")
        return str(outcome["stdout"])

    def delete(self, box: str) -> None:
        answer = self._call("DELETE", f"/runtimes/{box}?wait={WAIT_SECONDS}")
        if answer.status_code != 204:
            raise RuntimeError(f"cannot delete {box}: {answer.text}")

    def serve(self, name: str, program: str) -> Agent:
        command = {"command": ["python3", "-c", program]}
        runtime = self._create(name, {"process": command, "health": {"port": AGENT_PORT, "path": "/health"}})
        replica = self._call("GET", f"/runtimes/{runtime['id']}/replicas").json()["items"][0]
        entry = urlsplit(runtime["url"])
        return Agent(
            runtime["id"],
            Address(replica["address"], AGENT_PORT, "agent"),
            Address(self._gateway, entry.port or 80, entry.netloc),
        )

    def replace(self, agent: Agent, program: str) -> None:
        config = self._call("GET", f"/runtimes/{agent.box}/config").json()["config"]
        config["process"]["command"] = ["python3", "-c", program]
        self._call("PATCH", f"/runtimes/{agent.box}/endpoints/DEFAULT", json={"version": None})
        self._call("PUT", f"/runtimes/{agent.box}/config?wait={WAIT_SECONDS}", json={"config": config})

    def go_back(self, agent: Agent) -> None:
        endpoint = f"/runtimes/{agent.box}/endpoints/DEFAULT"
        kept = self._call("GET", endpoint).json()["kept"]
        self._call("PATCH", f"{endpoint}?wait={WAIT_SECONDS}", json={"version": kept["version"]})

    def delete_all(self) -> None:
        """Delete every runtime whose name says that it is a benchmark's."""
        for runtime in self._call("GET", "/runtimes?limit=100").json()["items"]:
            if runtime["name"].startswith("bench-"):
                self.delete(runtime["id"])

    def close(self) -> None:
        self._http.close()

    def _create(self, name: str, config: dict[str, Any]) -> dict[str, Any]:
        size = {"cpu_cores": CPU_CORES, "memory_mb": MEMORY_MB, "max_processes": MAX_PROCESSES}
        body = {"name": name, "config": {"resources": size, **config}}
        runtime: dict[str, Any] = self._call("POST", f"/runtimes?wait={WAIT_SECONDS}", json=body).json()
        if runtime["status"] != "active":
            raise RuntimeError(f"cannot start {name}: {runtime['status']} {runtime['reason']} {runtime['message']}")
        return runtime

    def _call(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        answer = self._http.request(method, path, **arguments)
        if answer.is_error:
            raise RuntimeError(f"cannot {method} {path}: {answer.text}")
        return answer
