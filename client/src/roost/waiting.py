"""Waiting for an outcome in slices: long polls short enough that no proxy cuts them, until a deadline.

Pure except for the clock; what failed and what is done is decided here for both clients.
"""

import time
from dataclasses import replace

from roost import errors
from roost.models import CanaryState, Endpoint, Image, Progress, Push, RuntimeState

SLICE_SECONDS = 20.0
WATCHED_SLICE_SECONDS = 0.5
"""Slices while somebody wants to see every step."""

SETTLED = ("active", "stopped", "error", "paused", "suspended")


def at_most(wait: bool) -> float:
    """Seconds that a call which is made once may wait for the gateway."""
    return SLICE_SECONDS if wait else 0.0


class Deadline:
    """`timeout` None waits for ever."""

    def __init__(self, timeout: float | None, *, watched: bool = False) -> None:
        self.timeout = timeout
        self._longest = WATCHED_SLICE_SECONDS if watched else SLICE_SECONDS
        self._end = None if timeout is None else time.monotonic() + timeout

    def slice(self) -> float:
        """Seconds to wait now; 0 when the time is over."""
        if self._end is None:
            return self._longest
        return round(max(0.0, min(self._longest, self._end - time.monotonic())), 3)


def runtime_is_settled(runtime: RuntimeState, deadline: Deadline) -> bool:
    """Raises `RuntimeFailed` when it is in `error`, `WaitTimeout` when the time is over and it is under way."""
    if runtime.status == "error":
        raise errors.RuntimeFailed(
            f'runtime "{runtime.name}" failed: {runtime.message or runtime.reason or "no reason was given"}',
            reason=runtime.reason,
            hint=_way_out(runtime),
        )
    if runtime.status in SETTLED:
        return True
    if deadline.slice() <= 0:
        why = f" ({runtime.message})" if runtime.message else ""
        raise errors.WaitTimeout(
            f'runtime "{runtime.name}" is still {runtime.status} after {deadline.timeout:g} s{why}',
            hint=f"it goes on; see how it stands with `roost inspect {runtime.name}`",
        )
    return False


def _way_out(runtime: RuntimeState) -> str:
    if (runtime.reason or "").startswith("image_"):
        return (
            f"correct it with `roost config set {runtime.name} build.source.ref=IMAGE`, "
            f"or take it away with `roost rm {runtime.name}`"
        )
    return f"look closer with `roost logs {runtime.name}` and `roost events {runtime.name}`"


def endpoint_is_late(runtime: RuntimeState, endpoint: Endpoint, deadline: Deadline) -> errors.WaitTimeout:
    """The time is over and it is under way; the runtime knows why."""
    why = f" ({runtime.message})" if runtime.message else ""
    return errors.WaitTimeout(
        f'endpoint "{endpoint.name}" of runtime "{runtime.name}" is still {endpoint.status} '
        f"after {deadline.timeout:g} s{why}",
        hint=f"it goes on; see how it stands with `roost inspect {runtime.name}`",
    )


def check_endpoint(runtime: RuntimeState, endpoint: Endpoint) -> None:
    """Raises `RuntimeFailed` when what it should serve could not start; the runtime knows why."""
    if endpoint.status == "error":
        why = runtime.message or runtime.reason or "no reason was given"
        message = f'endpoint "{endpoint.name}" of runtime "{runtime.name}" failed: {why}'
        raise errors.RuntimeFailed(message, reason=runtime.reason, hint=_way_out(runtime))


def runtime_is_still_there(runtime: RuntimeState, deadline: Deadline) -> None:
    """Raises `WaitTimeout` when a deletion takes longer than allowed."""
    if deadline.slice() <= 0:
        raise errors.WaitTimeout(f'runtime "{runtime.name}" is still {runtime.status} after {deadline.timeout:g} s')


def canary_has_succeeded(canary: CanaryState, deadline: Deadline) -> bool:
    """Raises `CanaryFailed` when it was rolled back or aborted, `WaitTimeout` when the time is over."""
    if canary.status == "succeeded":
        return True
    if canary.has_ended:
        raise errors.CanaryFailed(
            f"the canary to version {canary.to_version} was {canary.status.replace('_', ' ')}: {canary.message}",
            reason=canary.status,
            hint=f"version {canary.from_version} has all the traffic",
        )
    if deadline.slice() <= 0:
        why = f" ({canary.message})" if canary.message else ""
        raise errors.WaitTimeout(
            f"the canary to version {canary.to_version} is still {canary.status} at {canary.weight} % after "
            f"{deadline.timeout:g} s{why}",
            hint="it goes on; see how it stands with `roost canary show`",
        )
    return False


def image_is_settled(image: Image, deadline: Deadline) -> bool:
    """Raises `ImageFailed` or `WaitTimeout`."""
    if image.status == "failed":
        raise errors.ImageFailed(image.message or f"cannot get image {image.reference}", reason=image.reason)
    if image.status == "ready":
        return True
    if deadline.slice() <= 0:
        raise errors.WaitTimeout(
            f"image {image.reference} is still {progress_of(image).step or image.status} after {deadline.timeout:g} s",
            hint="it goes on; see how it stands with `roost image ls`",
        )
    return False


def progress_of(image: Image) -> Progress:
    """How far it is; what holds it up, when something does."""
    return replace(image.progress, step=image.message) if image.message else image.progress


def push_is_settled(push: Push, deadline: Deadline) -> bool:
    """Raises `PushFailed` or `WaitTimeout`."""
    if push.status == "failed":
        raise errors.PushFailed(push.message or f"cannot push to {push.reference}", reason=push.reason)
    if push.status == "ready":
        return True
    if deadline.slice() <= 0:
        raise errors.WaitTimeout(f"the push to {push.reference} is still under way after {deadline.timeout:g} s")
    return False
