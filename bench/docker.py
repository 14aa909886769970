"""Docker Engine: Debian's, started for the purpose with its own everything, driven over its HTTP API.

It runs in a network and mount namespace of its own, because its first act is to rewrite the host's firewall.
"""

import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from bench import rootfs
from bench.side import AGENT_PORT, CPU_CORES, MAX_PROCESSES, MEMORY_MB, Address, Agent

IMAGE = "bench:latest"
CGROUP = "roost-bench-docker"
FIRST_PORT = 20_000
"""Published ports are chosen, since Docker gives a container another one at each start; its namespace has no others."""
START = """
mount -t tmpfs tmpfs /run
ip link set lo up
exec dockerd --data-root {0}/data --exec-root {0}/exec --pidfile {0}/pid --host unix://{0}/api.sock \
 --cgroup-parent /{1} --log-level warn
"""


class Docker:
    """Use it as a context manager: the daemon runs inside the block, and nothing of it is left after."""

    name = "docker"

    def __init__(self, image: Path) -> None:
        self._image = image
        self._served: dict[str, list[str]] = {}

    def __enter__(self) -> "Docker":
        self._dir = Path(tempfile.mkdtemp(prefix="roost-bench-docker-"))
        self._log = (self._dir / "log").open("wb")
        command = ["unshare", "--net", "--mount", "sh", "-c", START.format(self._dir, CGROUP)]
        self._daemon = subprocess.Popen(command, stdout=self._log, stderr=self._log)
        transport = httpx.HTTPTransport(uds=str(self._dir / "api.sock"))
        self._http = httpx.Client(base_url="http://docker", transport=transport, timeout=300)
        try:
            self._wait()
            self._import()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None and self._daemon.poll() is None:
            for container in self._call("GET", "/containers/json?all=true").json():
                self._call("DELETE", f"/containers/{container['Id']}?force=true")
        self._http.close()
        self._daemon.terminate()
        self._daemon.wait(60)
        self._log.close()
        shutil.rmtree(self._dir, ignore_errors=True)
        for group in Path("/sys/fs/cgroup").glob(f"*/{CGROUP}"):
            group.rmdir()

    def version(self) -> str:
        told = self._call("GET", "/version").json()
        return f"Docker Engine {told['Version']}, bridge network, no user namespace"

    def create(self, name: str) -> str:
        return self._start(name, {"Cmd": ["sleep", "infinity"]})

    def exec(self, box: str, command: list[str]) -> str:
        asked = {"AttachStdout": True, "AttachStderr": True, "Cmd": command}
        made = self._call("POST", f"/containers/{box}/exec", json=asked).json()["Id"]
        stream = self._call("POST", f"/exec/{made}/start", json={"Detach": False, "Tty": False}).content
        code = self._call("GET", f"/exec/{made}/json").json()["ExitCode"]
        if code != 0:
            raise RuntimeError(f"cannot run {command}: exit code {code}")
        return _stdout(stream)

    def delete(self, box: str) -> None:
        self._call("POST", f"/containers/{box}/stop?t=10")
        self._call("DELETE", f"/containers/{box}")

    def serve(self, name: str, program: str) -> Agent:
        port = f"{AGENT_PORT}/tcp"
        asked = {"Cmd": ["python3", "-c", program], "ExposedPorts": {port: {}}}
        published = FIRST_PORT + len(self._served)
        box = self._start(name, asked, {"PortBindings": {port: [{"HostIp": "127.0.0.1", "HostPort": str(published)}]}})
        network = self._call("GET", f"/containers/{box}/json").json()["NetworkSettings"]
        inside = ("nsenter", f"--net=/proc/{self._daemon.pid}/ns/net")
        self._served[box] = [box]
        return Agent(
            box,
            Address(network["IPAddress"], AGENT_PORT, "agent", inside),
            Address("127.0.0.1", published, "agent", inside),
        )

    def replace(self, agent: Agent, program: str) -> None:
        """Two containers cannot publish one port: the old one is stopped, and stays to go back to."""
        boxes = self._served[agent.box]
        self._call("POST", f"/containers/{boxes[-1]}/stop?t=10")
        published = {f"{AGENT_PORT}/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(agent.entry.port)}]}
        asked = {"Cmd": ["python3", "-c", program], "ExposedPorts": {f"{AGENT_PORT}/tcp": {}}}
        boxes.append(self._start(f"{agent.box[:12]}-{len(boxes)}", asked, {"PortBindings": published}))

    def go_back(self, agent: Agent) -> None:
        boxes = self._served[agent.box]
        boxes[-2:] = boxes[:-3:-1]
        self._call("POST", f"/containers/{boxes[-2]}/stop?t=10")
        self._call("POST", f"/containers/{boxes[-1]}/start")

    def _start(self, name: str, asked: dict[str, Any], host: dict[str, Any] | None = None) -> str:
        limits = {"Memory": MEMORY_MB * 2**20, "NanoCpus": CPU_CORES * 10**9, "PidsLimit": MAX_PROCESSES, "Init": True}
        body = {"Image": IMAGE, **asked, "HostConfig": {**limits, **(host or {})}}
        box: str = self._call("POST", f"/containers/create?name={name}", json=body).json()["Id"]
        self._call("POST", f"/containers/{box}/start")
        return box

    def _import(self) -> None:
        with rootfs.tarball(self._image) as content:
            self._call("POST", "/images/create?fromSrc=-&repo=bench&tag=latest", content=content)

    def _wait(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                self._call("GET", "/_ping")
                return
            except httpx.TransportError:
                if self._daemon.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"cannot start dockerd:\n{(self._dir / 'log').read_text()}") from None
                time.sleep(0.1)

    def _call(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        answer = self._http.request(method, path, **arguments)
        if answer.is_error:
            raise RuntimeError(f"cannot {method} {path}: {answer.text}")
        return answer


def _stdout(stream: bytes) -> str:
    """Docker's multiplexed stream: frames of 1 byte stream, 3 unused, 4 length."""
    output = b""
    while stream:
        length = int.from_bytes(stream[4:8], "big")
        if stream[0] == 1:
            output += stream[8 : 8 + length]
        stream = stream[8 + length :]
    return output.decode()
