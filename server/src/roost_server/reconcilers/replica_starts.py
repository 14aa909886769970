"""The steps that bring a replica up: wait for its image, make its box, ask its health, call it ready."""

import asyncio
import time
from dataclasses import replace

from roost_server.domain import errors
from roost_server.domain.config import Health
from roost_server.domain.image import Image, ImageStatus
from roost_server.domain.replica import Box, BoxStatus, ReplicaStatus
from roost_server.domain.runtime import PASSING, Reason
from roost_server.reconcilers import identities, replica_ends
from roost_server.reconcilers.loop import held
from roost_server.reconcilers.metrics import START_PHASES
from roost_server.reconcilers.replica_work import Happening, Parts, Work, move, telling
from roost_server.reconcilers.spec import spec_of, variables_of
from roost_server.store import images, leases, replicas
from roost_server.store.replicas import seconds_since

PROBE_INTERVAL_SECONDS = 10.0
FAILING_INTERVAL_SECONDS = 2.0
UNREADY_AFTER = 3
RESTART_AFTER = 30
EAGER_SECONDS = 1.0
IMAGE_POLL_LIMIT_SECONDS = 10.0


async def wait_for_image(parts: Parts, work: Work) -> float | None:
    """Say how far the image is; the image's reconciler wakes this row when it is there."""
    if work.image.status == ImageStatus.PENDING:
        async with parts.store.write() as tx:
            await images.want(tx, work.image.id)
    message = describe_pull(work.image)
    phases = {"queued": seconds_since(work.queued_at), **work.replica.phases}
    if message != work.replica.message or phases != work.replica.phases:
        async with telling(parts, work) as tx:
            reason = Reason.IMAGE_PULLING
            await replicas.update(tx, work.replica.id, reason=reason, message=message, phases=phases)
    return min(IMAGE_POLL_LIMIT_SECONDS, max(1.0, seconds_since(work.queued_at) / 10))


def describe_pull(image: Image) -> str:
    """ "pulling host/team/agent:v1 (12 of 60 MiB)", for people."""
    progress = image.progress
    what = f"{progress.step or 'waiting for'} {image.reference}"
    if image.message:
        return f"{what}: {image.message}"
    if progress.total_bytes:
        return f"{what} ({progress.done_bytes >> 20} of {progress.total_bytes >> 20} MiB)"
    return what


async def fail_for_image(parts: Parts, work: Work) -> float | None:
    """The image cannot be had: nothing to try again until somebody changes something."""
    await replica_ends.fail(parts, work, work.image.reason, work.image.message or "", restart=False)
    return None


async def create(parts: Parts, work: Work) -> float | None:
    """Write that it starts, make the box, and see it through when that goes quickly."""
    waited = seconds_since(work.queued_at)
    queued = work.replica.phases.get("queued", waited)
    phases = {"queued": queued, "image": max(0.0, waited - queued)}
    if work.replica.status == ReplicaStatus.PENDING:
        await move(parts, work, ReplicaStatus.STARTING, phases=phases, started_at=leases.now())
    starting = replace(work.replica, status=ReplicaStatus.STARTING, phases=phases)
    work = replace(work, replica=starting)
    identity = await identities.of(parts.store, work.lease, work.runtime, parts.cipher)
    own = variables_of(work.runtime, identity, parts.surroundings)
    spec = spec_of(work.runtime, work.version, work.image, work.replica, parts.stop_grace_seconds, own)
    try:
        box = await parts.engine.create(spec)
    except errors.Invalid as error:
        return await _cannot_start(parts, work, error)
    except errors.Unavailable as error:
        await _tell(parts, work, Reason.ENGINE_UNAVAILABLE, error.message)
        raise
    starting = replace(starting, phases={**phases, **box.phases}, address=box.address)
    return await _watch_start(parts, replace(work, replica=starting, box=box), box)


async def _cannot_start(parts: Parts, work: Work, error: errors.Invalid) -> float | None:
    """Starting again cannot help, except where the machine lost the image: that is fetched anew first."""
    image_is_lost = error.reason == Reason.IMAGE_NOT_FOUND
    if image_is_lost:
        async with held(parts.store, work.lease) as tx:
            await images.fetch_again(tx, work.image.id)
    await replica_ends.fail(parts, work, error.reason or Reason.START_FAILED, error.message, restart=image_is_lost)
    return 0.0 if image_is_lost else None


async def _tell(parts: Parts, work: Work, reason: Reason, message: str) -> None:
    """Let people know why it is not ready yet."""
    if (work.replica.reason, work.replica.message) == (reason, message):
        return
    async with telling(parts, work) as tx:
        await replicas.update(tx, work.replica.id, reason=reason, message=message)


async def _watch_start(parts: Parts, work: Work, box: Box) -> float | None:
    """Ask eagerly for a moment, so that a quick agent is ready quickly; then leave it to later looks."""
    if box.status == BoxStatus.EXITED:
        return await replica_ends.record_exit(parts, work)
    health = work.version.config.probe
    if health is None:
        return await settle(parts, work)
    began, pause = time.monotonic(), 0.01
    while time.monotonic() - began < EAGER_SECONDS:
        if await parts.prober.ask(box, health) is None:
            return await _become_ready(parts, work, time.monotonic() - began)
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 0.1)
    async with held(parts.store, work.lease) as tx:
        await replicas.update(tx, work.replica.id, address=box.address, phases=work.replica.phases)
    return 0.0


async def settle(parts: Parts, work: Work) -> float | None:
    """Its process runs and nobody asked for a probe: ready."""
    if work.replica.status != ReplicaStatus.READY:
        await _become_ready(parts, work, 0.0)
    return None


async def probe(parts: Parts, work: Work) -> float | None:
    """One look at its health."""
    health = work.version.config.probe
    assert work.box is not None and health is not None
    answer = await parts.prober.ask(work.box, health)
    if answer is None:
        return await _healthy(parts, work)
    if work.replica.status in (ReplicaStatus.READY, ReplicaStatus.UNREADY):
        return await _failing(parts, work, answer)
    return await _not_yet(parts, work, health, answer)


async def _healthy(parts: Parts, work: Work) -> float:
    if work.replica.status != ReplicaStatus.READY:
        since = work.replica.started_at
        before = sum(seconds for name, seconds in work.replica.phases.items() if name not in ("queued", "image"))
        return await _become_ready(parts, work, max(0.0, seconds_since(since) - before) if since else 0.0)
    if work.probe_failures:
        async with held(parts.store, work.lease) as tx:
            await replicas.update(tx, work.replica.id, probe_failures=0)
    return PROBE_INTERVAL_SECONDS


async def _become_ready(parts: Parts, work: Work, health_seconds: float) -> float:
    phases = {**work.replica.phases, "health": health_seconds}
    assert work.box is not None
    for name, seconds in phases.items():
        START_PHASES.labels(name).observe(seconds)
    started = sum(phases.values())
    await move(
        parts,
        work,
        ReplicaStatus.READY,
        Happening("replica.ready", f"ready after {started:.3f} s", {"phases": phases, "version": work.version.number}),
        reason=None,
        message=None,
        address=work.box.address,
        phases=phases,
        ready_at=leases.now(),
        probe_failures=0,
        exit_code=None,
    )
    return PROBE_INTERVAL_SECONDS


async def _not_yet(parts: Parts, work: Work, health: Health, answer: str) -> float | None:
    """Starting: bounded patience, then the box is given up and started again after a back-off."""
    since = (work.box and work.box.started_at) or work.replica.started_at
    if since is not None and seconds_since(since) > health.start_timeout_seconds:
        message = f"not healthy within {health.start_timeout_seconds} s: {answer}"
        await replica_ends.fail(parts, work, Reason.HEALTH_FAILED, message, restart=True)
        return 0.0
    if work.replica.reason in PASSING and work.replica.reason != Reason.RESTARTING:
        await _tell(parts, work, Reason.WAITING, answer)
    waited = seconds_since(since) if since else 0.0
    return min(FAILING_INTERVAL_SECONDS, max(0.1, waited / 10))


async def _failing(parts: Parts, work: Work, answer: str) -> float | None:
    """Was ready: a few failures in a row take it out of the traffic, many start it again."""
    failures = work.probe_failures + 1
    if failures >= RESTART_AFTER:
        await replica_ends.fail(parts, work, Reason.HEALTH_FAILED, f"unhealthy for long: {answer}", restart=True)
        return 0.0
    if failures >= UNREADY_AFTER and work.replica.status == ReplicaStatus.READY:
        happening = Happening("replica.unready", answer, {"failures": failures})
        reason = Reason.HEALTH_FAILED
        unready = ReplicaStatus.UNREADY
        await move(parts, work, unready, happening, reason=reason, message=answer, probe_failures=failures)
    else:
        async with held(parts.store, work.lease) as tx:
            await replicas.update(tx, work.replica.id, probe_failures=failures)
    return FAILING_INTERVAL_SECONDS
