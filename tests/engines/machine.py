"""What the engines' tests share: specs, the tiny image, and for each engine how to make a box's process end."""

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from roost_server.domain import errors
from roost_server.domain.config import Resources
from roost_server.domain.exec import ExecRequest, ExecResult
from roost_server.domain.image import ImageConfig
from roost_server.domain.replica import Box, BoxStatus, ReplicaSpec
from roost_server.engines.oci.engine import OciEngine
from roost_server.engines.oci.image import UnpackedImage
from roost_server.engines.oci.settings import OciSettings
from roost_server.engines.simulated import FAULT_VARIABLE, SimulatedEngine
from support.waiting import eventually

ID_MAP_START = 231072
DIGEST = "sha256:" + "0" * 64
RESOURCES = Resources(cpu_cores=1, memory_mb=64, disk_mb=64, max_processes=64)
SAY_AND_SLEEP = ["sh", "-c", "echo started; exec sleep 100000"]


def spec(*command: str, **changes: Any) -> ReplicaSpec:
    """A small replica; without a command it says "started" and sleeps."""
    made = ReplicaSpec(
        id=str(uuid4()),
        runtime_id=str(uuid4()),
        hostname="agent",
        image_digest=DIGEST,
        resources=RESOURCES,
        command=list(command) or SAY_AND_SLEEP,
        stop_grace_seconds=5.0,
    )
    return replace(made, **changes)


class TinyImages:
    """Knows one image: busybox."""

    def __init__(self, root: Path, config: ImageConfig | None = None) -> None:
        self._root = root
        self.config = config or ImageConfig(cmd=SAY_AND_SLEEP)

    def unpacked(self, digest: str) -> UnpackedImage:
        if digest != DIGEST:
            raise errors.Invalid(f"cannot find image {digest} on this machine", reason="image_not_found")
        return UnpackedImage(digest, self._root, self.config)


class Subject(Protocol):
    """An engine under test."""

    engine: Any

    async def end(self, replica_id: str) -> None:
        """Make the box's process end with an error."""
        ...

    def unstartable(self) -> ReplicaSpec:
        """A replica whose command can never start."""
        ...


class SimulatedSubject:
    def __init__(self, engine: SimulatedEngine) -> None:
        self.engine = engine

    async def end(self, replica_id: str) -> None:
        await self.engine.crash(replica_id, exit_code=137)

    def unstartable(self) -> ReplicaSpec:
        return spec(env={FAULT_VARIABLE: "start_fails"})


class OciSubject:
    def __init__(self, settings: OciSettings, images: TinyImages) -> None:
        self.settings, self.images = settings, images
        self.engine = OciEngine(settings, images)

    async def end(self, replica_id: str) -> None:
        box = await self.engine.inspect(replica_id)
        assert box is not None and box.pid is not None
        os.kill(box.pid, signal.SIGKILL)
        await self.until(replica_id, BoxStatus.EXITED)

    def unstartable(self) -> ReplicaSpec:
        return spec("no-such-command")

    async def begin_again(self) -> None:
        """A new engine object on the same directories, as after a restart of the server."""
        await self.engine.close()
        self.engine = OciEngine(self.settings, self.images)
        await self.engine.start()

    async def until(self, replica_id: str, status: BoxStatus) -> Box:
        async def reached() -> Box | None:
            box = await self.engine.inspect(replica_id)
            return box if box is not None and box.status == status else None

        return await eventually(reached)

    async def shell(self, replica_id: str, script: str, **changes: Any) -> ExecResult:
        return await self.engine.exec(replica_id, ExecRequest(["sh", "-c", script], **changes))

    async def run(self, *command: str, **changes: Any) -> Box:
        """Make a box whose command ends by itself, and wait for that."""
        box = await self.engine.create(spec(*command, **changes))
        return await self.until(box.id, BoxStatus.EXITED)
