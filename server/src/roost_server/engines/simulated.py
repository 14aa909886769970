"""An engine that runs nothing: boxes are rows in memory. For tests, and to try the platform at sizes no machine holds.

Faults by name make it misbehave: per replica through the environment variable `ROOST_SIMULATED_FAULT` of its
configuration, or for all through `SimulatedEngine(fault=…)`. Boxes do not outlive the process.
"""

import asyncio
import base64
import hashlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

from roost_server.domain import errors, image
from roost_server.domain.config import Health, RegistryAuth
from roost_server.domain.exec import ExecRequest, ExecResult
from roost_server.domain.image import ImageConfig, ImageInfo, Progress
from roost_server.domain.log import LogLine, LogPage, LogQuery
from roost_server.domain.replica import Box, BoxStatus, ReplicaSpec, Usage
from roost_server.domain.runtime import Reason
from roost_server.engines.engine import OnLine, OnProgress
from roost_server.engines.faults import Fault

FAULT_VARIABLE = "ROOST_SIMULATED_FAULT"


@dataclass
class _Simulated:
    spec: ReplicaSpec
    box: Box
    lines: list[LogLine] = field(default_factory=list)
    cpu_seconds: float = 0.0
    measured_at: float = field(default_factory=time.monotonic)


Load = Callable[[ReplicaSpec], tuple[float, int]]
"""CPU cores and bytes of memory that a box uses at the moment."""


class SimulatedEngine:
    """Satisfies Engine, Watches, Execs, Logs, Probes and Measures. `load` is what boxes use while they run."""

    load: Load = staticmethod(lambda spec: (0.0, 1024 * 1024))

    def __init__(self, fault: Fault | None = None) -> None:
        self._fault = fault
        self._boxes: dict[str, _Simulated] = {}
        self._logs: dict[str, list[LogLine]] = {}
        self._written = asyncio.Condition()
        self._changes: asyncio.Queue[str] = asyncio.Queue()
        self._created: set[str] = set()
        self._count = 0

    def _fault_of(self, spec: ReplicaSpec) -> Fault | None:
        named = spec.env.get(FAULT_VARIABLE)
        if named is not None and named not in get_args(Fault):
            raise errors.Invalid(
                f'cannot start the replica: {FAULT_VARIABLE} names no fault "{named}"; use one of '
                + ", ".join(get_args(Fault)),
                reason="start_failed",
            )
        return named or self._fault  # type: ignore[return-value]

    async def create(self, replica: ReplicaSpec) -> Box:
        there = self._boxes.get(replica.id)
        if there is not None:
            return there.box
        fault = self._fault_of(replica)
        self._refuse(fault, replica)
        self._count += 1
        box = Box(
            id=replica.id,
            status=BoxStatus.RUNNING,
            address=f"127.{1 + self._count // 65025 % 254}.{self._count // 255 % 255}.{1 + self._count % 254}",
            pid=self._count,
            started_at=datetime.now(UTC),
            phases={"disk": 0.0, "network": 0.0, "process": 0.0},
        )
        self._boxes[replica.id] = _Simulated(replica, box)
        await self._write(replica, f"started {' '.join([*replica.command, *replica.args]) or 'the image'}")
        if fault == "crash_after_create" and replica.id not in self._created:
            self._created.add(replica.id)
            raise ConnectionError("the engine crashed after it made the box")
        if fault in ("exits_at_once", "out_of_memory"):
            await self.crash(replica.id, exit_code=137 if fault == "out_of_memory" else 1)
        return self._boxes[replica.id].box

    def _refuse(self, fault: Fault | None, replica: ReplicaSpec) -> None:
        if fault == "start_fails":
            raise errors.Invalid("cannot start the replica: the command was not found", reason="start_failed")
        if fault == "unavailable":
            raise errors.Unavailable("cannot reach the engine", reason="engine_unavailable")
        if fault in ("unavailable_once", "image_lost_once") and replica.id not in self._created:
            self._created.add(replica.id)
            if fault == "image_lost_once":
                raise errors.Invalid("cannot start the replica: its image is gone", reason="image_not_found")
            raise errors.Unavailable("cannot reach the engine", reason="engine_unavailable")

    async def crash(self, replica_id: str, *, exit_code: int = 1) -> None:
        """End a box's process, as `kill -9` would."""
        simulated = self._boxes[replica_id]
        await self._write(simulated.spec, f"exiting with {exit_code}", stream_is_stdout=False)
        simulated.box = replace(
            simulated.box,
            status=BoxStatus.EXITED,
            exit_code=exit_code,
            pid=None,
            oom_killed=self._fault_of(simulated.spec) == "out_of_memory",
            log_tail=[line.text for line in simulated.lines[-20:]],
        )
        self._changes.put_nowait(replica_id)

    async def inspect(self, replica_id: str) -> Box | None:
        simulated = self._boxes.get(replica_id)
        return simulated.box if simulated else None

    async def list(self) -> list[Box]:
        return [simulated.box for simulated in self._boxes.values()]

    async def delete(self, replica_id: str, *, force: bool = False) -> None:
        simulated = self._boxes.get(replica_id)
        if simulated is None:
            return
        if self._fault_of(simulated.spec) == "slow_to_delete" and not force:
            await asyncio.sleep(min(1.0, simulated.spec.stop_grace_seconds))
        self._boxes.pop(replica_id, None)
        self._changes.put_nowait(replica_id)

    async def changes(self) -> AsyncIterator[str]:
        while True:
            yield await self._changes.get()

    async def probe(self, replica_id: str, health: Health) -> str | None:
        simulated = self._boxes.get(replica_id)
        if simulated is None or simulated.box.status != BoxStatus.RUNNING:
            return "no answer"
        if self._fault_of(simulated.spec) == "never_healthy":
            return f"GET {health.path} answered 500"
        return None

    async def exec(self, replica_id: str, request: ExecRequest) -> ExecResult:
        """Knows true, false, echo, cat, env, sleep and `kill -9` (of itself); anything else is not found."""
        simulated = self._boxes.get(replica_id)
        if simulated is None:
            raise errors.NotFound("cannot run the command: the replica is gone")
        if simulated.box.status != BoxStatus.RUNNING:
            raise errors.Conflict("cannot run the command: the replica is not running")
        return await _run(request, simulated.spec)

    async def read_logs(self, runtime_id: str, query: LogQuery) -> LogPage:
        lines = [line for line in self._logs.get(runtime_id, []) if _matches(line, query)]
        if query.order == "desc":
            lines.reverse()
        if query.cursor is not None:
            _check_cursor(query.cursor)
            sign = 1 if query.order == "asc" else -1
            lines = [line for line in lines if sign * int(line.cursor) > sign * int(query.cursor)]
        page = lines[: query.limit]
        return LogPage(page, page[-1].cursor if len(lines) > query.limit else None)

    async def follow_logs(self, runtime_id: str, query: LogQuery) -> AsyncIterator[LogLine]:
        everything = query.since is not None or query.cursor is not None
        seen = int(query.cursor or 0) if everything else len(self._logs.get(runtime_id, []))
        self._logs.setdefault(runtime_id, [])
        while runtime_id in self._logs:
            for line in self._logs[runtime_id][seen:]:
                seen += 1
                if _matches(line, query):
                    yield line
            async with self._written:
                while len(self._logs.get(runtime_id, [])) <= seen and runtime_id in self._logs:
                    await self._written.wait()

    async def forget_logs(self, runtime_id: str) -> None:
        self._logs.pop(runtime_id, None)
        async with self._written:
            self._written.notify_all()

    async def measure(self) -> dict[str, Usage]:
        running = [s for s in self._boxes.values() if s.box.status == BoxStatus.RUNNING]
        return {simulated.spec.id: self._use(simulated) for simulated in running}

    def _use(self, simulated: _Simulated) -> Usage:
        """As if the load had been the same since it was measured last."""
        cores, memory_bytes = self.load(simulated.spec)
        now = time.monotonic()
        simulated.cpu_seconds += cores * (now - simulated.measured_at)
        simulated.measured_at = now
        return Usage(simulated.cpu_seconds, memory_bytes)

    async def _write(self, spec: ReplicaSpec, text: str, *, stream_is_stdout: bool = True) -> None:
        lines = self._logs.setdefault(spec.runtime_id, [])
        stream = "stdout" if stream_is_stdout else "stderr"
        line = LogLine(datetime.now(UTC), stream, text, spec.id, str(len(lines) + 1))  # type: ignore[arg-type]
        lines.append(line)
        self._boxes[spec.id].lines.append(line)
        async with self._written:
            self._written.notify_all()


def _check_cursor(cursor: str) -> None:
    if not cursor.isascii() or not cursor.isdigit():
        raise errors.BadRequest("cannot read the log cursor: use one that an earlier answer gave")


def _matches(line: LogLine, query: LogQuery) -> bool:
    return (
        (query.since is None or line.time >= query.since)
        and (query.until is None or line.time <= query.until)
        and (query.stream is None or line.stream == query.stream)
        and (query.replica_ids is None or line.replica_id in query.replica_ids)
        and (query.contains is None or query.contains.lower() in line.text.lower())
    )


async def _run(request: ExecRequest, spec: ReplicaSpec) -> ExecResult:
    words, code, out, err, signal = request.command, 0, b"", b"", None
    match words[0]:
        case "true":
            pass
        case "false":
            code = 1
        case "echo":
            out = " ".join(words[1:]).encode() + b"\n"
        case "cat":
            out = request.stdin
        case "env":
            out = "".join(f"{name}={value}\n" for name, value in {**spec.env, **request.env}.items()).encode()
        case "sleep":
            seconds = float(words[1])
            await asyncio.sleep(min(seconds, request.timeout_seconds))
            code = 124 if seconds > request.timeout_seconds else 0
        case "kill":
            signal = int(words[1].lstrip("-"))
            code = 128 + signal
        case missing:
            code, err = 127, f'"{missing}" was not found\n'.encode()
    limit = request.max_output_bytes
    return ExecResult(code, out[:limit], err[:limit], 0.0, len(out) > limit, len(err) > limit, code == 124, signal)


class SimulatedImages:
    """Satisfies Images: every reference exists, except where its path names a reason (`…/image_not_found`,
    `…/registry_unavailable`)."""

    def __init__(self) -> None:
        self._images: dict[str, ImageInfo] = {}
        self.pulled: deque[str] = deque(maxlen=1000)

    async def pull(self, reference: str, auth: RegistryAuth | None, progress: OnProgress) -> ImageInfo:
        named = image.parse(reference).path.rsplit("/", 1)[-1]
        if named.startswith("image_"):
            raise errors.Invalid(f"cannot pull {reference}: simulated {named}", reason=named)
        if named == Reason.REGISTRY_UNAVAILABLE:
            raise errors.Unavailable(f"cannot pull {reference}: the registry does not answer", reason=named)
        self.pulled.append(reference)
        progress(Progress("pulling", 50, 100))
        return self._add(reference)

    async def load(self, archive: Path, progress: OnProgress) -> ImageInfo:
        progress(Progress("loading", 50, 100))
        return self._add(base64.b64encode(await asyncio.to_thread(archive.read_bytes)).decode())

    async def build(
        self, context: Path, dockerfile: str, build_args: dict[str, str], local: dict[str, str], write_line: OnLine
    ) -> ImageInfo:
        path = context / dockerfile
        if not path.is_file():
            raise errors.Invalid(f"cannot build the image: no {dockerfile} in the context", reason="image_build_failed")
        text = await asyncio.to_thread(path.read_text)
        for line in text.splitlines():
            write_line(line)
        return self._add(text)

    async def make_builtin(self, progress: OnProgress) -> ImageInfo:
        progress(Progress("making", 50, 100))
        return self._add(image.BUILTIN)

    async def push(self, digest: str, reference: str, auth: RegistryAuth | None, progress: OnProgress) -> None:
        if digest not in self._images:
            raise errors.Invalid(f"cannot push {digest}: it is not on this machine", reason="image_not_found")

    async def images(self) -> list[ImageInfo]:
        return list(self._images.values())

    async def keep_only(self, digests: Sequence[str]) -> int:
        gone = [digest for digest in self._images if digest not in digests]
        return sum(self._images.pop(digest).size_bytes for digest in gone)

    def _add(self, content: str) -> ImageInfo:
        digest = "sha256:" + hashlib.sha256(content.encode()).hexdigest()
        self._images[digest] = ImageInfo(digest, "amd64", 1024, ImageConfig(entrypoint=["/bin/agent"]))
        return self._images[digest]
