"""conmon: the small monitor that starts a box through runc, keeps its logs and writes down how it ended.

It leaves the server's session and process group by itself and outlives the server. Measured: 2 MiB each.
"""

import json
import os
import re
import select
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from roost_server.domain import errors
from roost_server.engines.oci import programs

CANNOT_START = (
    "executable file not found",
    "permission denied",
    "no such file or directory",
    "not a directory",
    "exec format error",
    "unable to find user",
    "is a directory",
)
SYNC_PIPE = 3
ANSWER_SECONDS = 60.0

Spawn = Callable[[list[str], dict[str, str], Path, list[int]], None]
"""Starts a program: its arguments, environment, directory and descriptors. Does not wait for it."""


@dataclass(frozen=True)
class Monitored:
    """What conmon is told about one box."""

    conmon: str
    id: str
    bundle: Path
    log: Path
    exits: Path
    runtime: str
    runc_root: Path
    log_bytes: int


def create(box: Monitored, spawn: Spawn) -> int:
    """Have the box created, its first process waiting to be started. Answers that process's id. Blocks.

    Raises `Invalid` (reason `start_failed`) when what the image asks for cannot be started, else `Unavailable`.
    """
    reading, writing = os.pipe()
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        environment = programs.ENVIRONMENT | {"_OCI_SYNCPIPE": str(SYNC_PIPE)}
        spawn(_command(box), environment, box.bundle, [nothing, nothing, nothing, writing])
    finally:
        os.close(writing)
        os.close(nothing)
    with os.fdopen(reading, "rb") as pipe:
        return _created(box, pipe.readline() if _answers(reading) else b"")


def _answers(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(ANSWER_SECONDS * 1000))


def identity(replica_id: str) -> tuple[str, str]:
    """The arguments that tell a box's monitor from others'."""
    return ("--cid", replica_id)


def creating(bundle: Path) -> tuple[str, str]:
    """The arguments that tell the runtime which the monitor runs to create the box."""
    return ("--bundle", str(bundle))


def _command(box: Monitored) -> list[str]:
    return [
        box.conmon,
        "--api-version=1",
        *identity(box.id),
        f"--cuuid={box.id}",
        f"--name={box.id}",
        f"--runtime={box.runtime}",
        f"--runtime-arg=--root={box.runc_root}",
        f"--bundle={box.bundle}",
        f"--container-pidfile={box.bundle / 'pid'}",
        f"--exit-dir={box.exits}",
        f"--log-path=k8s-file:{box.log}",
        f"--log-size-max={box.log_bytes}",
        "--log-level=error",
        "--full-attach",
        "--no-sync-log",
    ]


def _created(box: Monitored, answer: bytes) -> int:
    """conmon writes {"data": pid} ("pid" in old versions), or -1 and runc's own words."""
    try:
        value = json.loads(answer)
    except ValueError:
        value = {}
    pid = int(value.get("data", value.get("pid", -1)))
    if pid > 0:
        return pid
    said = _plain(str(value.get("message", "conmon gave no answer")))
    if any(hint in said for hint in CANNOT_START):
        raise errors.Invalid(f"cannot start the replica: {said}", reason="start_failed", detail=str(value))
    raise errors.Unavailable(
        f"cannot start replica {box.id}: {said}; run roost-server doctor",
        reason="engine_unavailable",
        detail=str(value),
    )


def _plain(message: str) -> str:
    """runc's log lines down to what went wrong."""
    found = re.findall(r'msg="((?:[^"\\]|\\.)*)"', message)
    text = found[-1].replace('\\"', '"') if found else message.strip()
    return text.removeprefix("runc create failed: ").removeprefix("unable to start container process: ")
