"""The steps that follow a replica's end, wanted or not: record it, back off, start again, drain, remove."""

from datetime import timedelta

from roost_server.domain.replica import Box, ReplicaStatus, back_off_seconds
from roost_server.domain.runtime import Reason
from roost_server.reconcilers.metrics import REPLICA_FAILURES
from roost_server.reconcilers.replica_work import Happening, Parts, Work, move, telling
from roost_server.store import chores, events, leases, replicas
from roost_server.store.replicas import seconds_since

STEADY_SECONDS = 60.0
"""A replica that was ready this long starts again without delay; its earlier failures are forgotten."""

DRAIN_POLL_SECONDS = 0.1
LAST_LINES = 5


async def record_exit(parts: Parts, work: Work) -> float | None:
    """Write down how it ended and when it is started again."""
    was_ready = work.replica.status in (ReplicaStatus.READY, ReplicaStatus.UNREADY)
    oom = work.box is not None and work.box.oom_killed
    ended = Reason.OUT_OF_MEMORY if oom else Reason.EXITED
    reason = Reason.RESTARTING if was_ready and not oom else ended
    await fail(parts, work, reason, describe_end(work.box, work.version.resources.memory), restart=True)
    return 0.0


def describe_end(box: Box | None, memory_mb: int) -> str:
    """How a box ended, with the last lines it wrote, for people."""
    if box is None:
        return "its box is gone from the machine"
    if box.oom_killed:
        text = f"killed by the kernel at its memory limit of {memory_mb} MiB; give it more memory_mb"
    elif box.exit_code is not None and box.exit_code > 128:
        text = f"exited with code {box.exit_code} (signal {box.exit_code - 128})"
    else:
        text = f"exited with code {box.exit_code}"
    tail = "\n".join(box.log_tail[-LAST_LINES:])
    return f"{text}; last log lines:\n{tail}" if tail else f"{text}; it wrote no log"


async def fail(parts: Parts, work: Work, reason: str | None, message: str, *, restart: bool) -> None:
    """To `failed`, with the time of the next start, or none when starting again cannot help."""
    ready_at = work.replica.ready_at
    was_ready = work.replica.status in (ReplicaStatus.READY, ReplicaStatus.UNREADY)
    steady = was_ready and ready_at is not None and seconds_since(ready_at) >= STEADY_SECONDS
    failures = 0 if steady else work.failures
    delay = back_off_seconds(failures)
    REPLICA_FAILURES.labels(reason or "unknown").inc()
    again = f"; starting again {f'in {delay:g} s' if delay else 'at once'}" if restart else ""
    await move(
        parts,
        work,
        ReplicaStatus.FAILED,
        Happening("replica.failed", message + again, _data(work)),
        reason=reason,
        message=message,
        exit_code=work.box.exit_code if work.box else None,
        failures=failures + 1,
        restart_at=leases.now() + timedelta(seconds=delay) if restart else None,
    )


def _data(work: Work) -> dict[str, int]:
    return {"restarts": work.replica.restarts, "version": work.version.number}


async def back_off(parts: Parts, work: Work) -> float | None:
    """Not yet time to start again; None when only a change can help."""
    if work.restart_at is None:
        return None
    return max(0.0, (work.restart_at - leases.now()).total_seconds())


async def recreate(parts: Parts, work: Work) -> float | None:
    """Clear the ended box away and queue the replica anew. Reason and message stay until it is ready, or until somebody
    asks for another try, which may be meanwhile."""
    await parts.engine.delete(work.replica.id, force=True)
    restarts = work.replica.restarts + 1
    happening = Happening("replica.restarting", f"start number {restarts + 1}", _data(work) | {"restarts": restarts})
    queued = {"queued_at": leases.now(), "phases": {}, "address": None, "restarts": restarts, "restart_at": None}
    await move(parts, work, ReplicaStatus.PENDING, happening, routed=False, **queued)
    return 0.0


async def drain(parts: Parts, work: Work) -> float | None:
    """Wait for the routes to leave it and for requests in flight to end."""
    return DRAIN_POLL_SECONDS


async def remove(parts: Parts, work: Work) -> float | None:
    """Delete box, then row."""
    await parts.engine.delete(work.replica.id)
    async with telling(parts, work) as tx:
        await replicas.delete(tx, work.replica.id)
        told, of = "stopped and removed", {"version": work.version.number}
        await events.record(tx, work.runtime.id, "replica.removed", told, replica_id=work.replica.id, data=of)
        await chores.publish_routes(tx)
    return None
