"""Words that the stories share: the agent they deploy, images made of files, steady traffic, how all stand."""

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
from roost import Runtime, UnreachableError
from support.installation import Installation, until

from e2e.pace import steadily

BUILTIN = "builtin:runtime"
SOURCE = (Path(__file__).parent / "agent.py").read_text()


def agent(**options: Any) -> dict[str, Any]:
    """Options of `create` that run this folder's agent in the builtin image."""
    return {"image": BUILTIN, "command": ["python3", "-c", SOURCE], "port": 8080, "memory_mb": 128, **options}


def image_folder(folder: Path, dockerfile: str, **files: str) -> Path:
    """A build context: a Dockerfile and files by name, `__` standing for a dot."""
    folder.mkdir()
    (folder / "Dockerfile").write_text(dockerfile)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def whoami(runtime: Runtime) -> dict[str, Any]:
    """What the agent says of itself: version, process and since when, replica."""
    said: dict[str, Any] = runtime.call("GET", "/whoami").raise_for_status().json()
    return said


def answers(runtime: Runtime) -> bool:
    """Whether its agent can be called now."""
    try:
        return runtime.call("GET", "/health").status_code == 200
    except UnreachableError:
        return False


def envoy_pid(roost: Installation) -> int:
    return int(json.loads((roost.run / "gateway" / "envoy.json").read_text())["pid"])


def states(roost: Installation) -> dict[str, tuple[Any, ...]]:
    """How every runtime and its replicas stand."""
    return {
        runtime.name: (
            runtime.status,
            runtime.version,
            runtime.replicas,
            [(one.id, one.status, one.address, one.restarts) for one in runtime.list_replicas()],
        )
        for runtime in roost.client.runtimes.list()
    }


class Traffic:
    """Requests at a steady rate, whether or not the ones before were answered. `failures` is what went wrong."""

    def __init__(self, roost: Installation, runtime: Runtime, per_second: float, method: str, path: str) -> None:
        self._base = f"http://127.0.0.1:{roost.http_port}"
        self._host = httpx.URL(runtime.url).host
        self._rate, self._method, self._path = per_second, method, path
        self._stop = threading.Event()
        self.answers: list[tuple[float, str]] = []

    @property
    def failures(self) -> dict[str, int]:
        return dict(Counter(answer for _, answer in self.answers if answer != "200"))

    def progress(self, answers: int) -> None:
        """Wait until so many more were answered."""
        enough = len(self.answers) + answers
        until(lambda: len(self.answers) >= enough, 120)

    def gap(self) -> float:
        """The longest time between two good answers, in seconds."""
        good = sorted(at for at, answer in self.answers if answer == "200")
        return max(later - earlier for earlier, later in pairwise(good))

    def run(self) -> None:
        asyncio.run(self._send())

    async def _send(self) -> None:
        async with httpx.AsyncClient(base_url=self._base, headers={"host": self._host}, timeout=60) as client:
            await steadily(self._rate, lambda _: self._ask(client), self._stop.is_set)

    async def _ask(self, client: httpx.AsyncClient) -> None:
        try:
            response = await client.request(self._method, self._path)
            answer = "200" if response.status_code == 200 else f"{response.status_code} {response.text}"
        except httpx.HTTPError as error:
            answer = repr(error)
        self.answers.append((time.monotonic(), answer))

    def end(self) -> None:
        self._stop.set()


@contextmanager
def traffic(
    roost: Installation, runtime: Runtime, *, per_second: float = 50, method: str = "POST", path: str = "/echo"
) -> Iterator[Traffic]:
    """Steady traffic while the block runs, from a thread of its own; every request is answered when it ends."""
    steady = Traffic(roost, runtime, per_second, method, path)
    thread = threading.Thread(target=steady.run)
    thread.start()
    try:
        yield steady
    finally:
        steady.end()
        thread.join()
