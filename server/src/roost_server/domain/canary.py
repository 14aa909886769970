"""Canary: a new version that takes over an endpoint's traffic step by step, as long as it does as well as the old."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class CanaryStatus(StrEnum):
    RUNNING = "running"  # a step is under way
    PAUSED = "paused"  # its weight stays where it is until somebody resumes it
    SUCCEEDED = "succeeded"  # the new version has all the traffic
    ROLLED_BACK = "rolled_back"  # it did worse, or did not start; the old version has all the traffic
    ABORTED = "aborted"  # somebody ended it; the old version has all the traffic


ALLOWED: dict[CanaryStatus, frozenset[CanaryStatus]] = {
    CanaryStatus.RUNNING: frozenset(
        {CanaryStatus.PAUSED, CanaryStatus.SUCCEEDED, CanaryStatus.ROLLED_BACK, CanaryStatus.ABORTED}
    ),
    CanaryStatus.PAUSED: frozenset(
        {CanaryStatus.RUNNING, CanaryStatus.SUCCEEDED, CanaryStatus.ROLLED_BACK, CanaryStatus.ABORTED}
    ),
    CanaryStatus.SUCCEEDED: frozenset(),
    CanaryStatus.ROLLED_BACK: frozenset(),
    CanaryStatus.ABORTED: frozenset(),
}

UNDER_WAY = (CanaryStatus.RUNNING, CanaryStatus.PAUSED)


@dataclass(frozen=True)
class Canary:
    """`steps` are percents of the traffic, the last one 100. `step` is the index of the one under way, `step_since`
    when its weight began to hold (None until then), `baseline` the gateway's counts at that moment by version.
    `judged` are the figures of the latest judgement."""

    id: str
    runtime_id: str
    endpoint_id: str
    from_version: int
    to_version: int
    steps: tuple[int, ...]
    interval_seconds: float
    max_error_rate: float
    max_p95_ratio: float
    min_requests: int
    status: CanaryStatus
    message: str | None
    step: int
    step_since: datetime | None
    baseline: Mapping[str, Any] | None
    judged: Mapping[str, Any] | None
    revision: int
    created_at: datetime
    updated_at: datetime

    @property
    def weight(self) -> int:
        """Percent that the new version has, or is to have, in this step."""
        return self.steps[self.step]
