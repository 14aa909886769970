"""runc (or crun): what is asked of it besides creating, which conmon does."""

import os
import select
import shutil
import subprocess
from pathlib import Path

from roost_server.domain import errors

START_SECONDS = 10.0


def start(runtime: str, root: Path, replica_id: str) -> None:
    """Let a created box's first process run.

    It waits for a reader of a pipe; being that reader is all that `runc start` does, and here it saves a process
    (8 ms). Where there is no such pipe the command itself is used.
    """
    pipe = root / replica_id / "exec.fifo"
    try:
        descriptor = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        _start_by_command(runtime, root, replica_id)
        return
    try:
        _wait_for_writer(descriptor, replica_id)
    finally:
        os.close(descriptor)
    pipe.unlink(missing_ok=True)


def _wait_for_writer(descriptor: int, replica_id: str) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if not poll.poll(START_SECONDS * 1000) or not os.read(descriptor, 1):
        raise errors.Unavailable(
            f"cannot start replica {replica_id}: its first process went away while it was being started",
            reason="engine_unavailable",
        )


def _start_by_command(runtime: str, root: Path, replica_id: str) -> None:
    done = subprocess.run([runtime, "--root", str(root), "start", replica_id], capture_output=True, text=True)
    if done.returncode:
        raise errors.Unavailable(
            f"cannot start replica {replica_id}: {runtime} refused; run roost-server doctor",
            reason="engine_unavailable",
            detail=done.stderr,
        )


def forget(root: Path, replica_id: str) -> None:
    """Remove what the runtime keeps of a box whose processes and cgroups are gone. Gone is success."""
    shutil.rmtree(root / replica_id, ignore_errors=True)
