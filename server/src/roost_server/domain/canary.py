"""Canary: a new version that takes over an endpoint's traffic step by step, as long as it does as well as the old.

`next_step` is the pure decision what happens next with one; `judging.py` says whether it does worse.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from roost_server.domain import errors, judging
from roost_server.domain.endpoint import Weights
from roost_server.domain.judging import Judgement, Limits, Stretches, Verdict
from roost_server.domain.replica import Replica, ReplicaStatus
from roost_server.domain.runtime import PASSING, Reason
from roost_server.domain.traffic import Counts

MOST_STEPS = 20
GRACE_SECONDS = 60.0
"""Beyond its start time-out, until a replica that does not become ready counts as one that never will."""


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
class Terms:
    """How a canary is to go: `steps` are percents of the traffic, rising to 100; each lasts `interval_seconds` and
    until the new version had `min_requests`."""

    steps: tuple[int, ...] = (5, 25, 50, 100)
    interval_seconds: float = 60.0
    max_error_rate: float = 0.01
    max_p95_ratio: float = 1.5
    min_requests: int = 20


@dataclass(frozen=True)
class Tally:
    """What was counted of both versions; if it is judged, in which stretches of time the new one was slow."""

    old: Counts
    new: Counts
    stretches: Stretches = field(default_factory=Stretches)

    def since(self, earlier: "Tally") -> "Tally":
        return Tally(self.old.since(earlier.old), self.new.since(earlier.new))

    def plus(self, other: "Tally") -> "Tally":
        return Tally(self.old.plus(other.old), self.new.plus(other.new), self.stretches)


NOTHING = Tally(Counts(), Counts())


@dataclass(frozen=True)
class Canary:
    """`step` is the index of the step under way, `step_since` when its weight began to hold (None until then).

    `judged` is what was counted since then; until a step's weight holds, what goes on being counted of the step before.
    `baseline` is what the gateway told when it was last asked: from there on it counts for the next look. None: what is
    counted is not judged."""

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
    baseline: Tally | None
    judged: Tally | None
    revision: int
    created_at: datetime
    updated_at: datetime

    @property
    def weight(self) -> int:
        """Percent that the new version has, or is to have, in this step."""
        return self.steps[self.step]

    @property
    def split(self) -> Weights:
        """What the endpoint is to serve in this step."""
        both = sorted([(self.from_version, 100 - self.weight), (self.to_version, self.weight)])
        return {version: weight for version, weight in both if weight}

    @property
    def outcome(self) -> Weights:
        """What the two versions had when it ended."""
        return {self.to_version if self.status == CanaryStatus.SUCCEEDED else self.from_version: 100}

    @property
    def terms(self) -> Terms:
        return Terms(self.steps, self.interval_seconds, self.max_error_rate, self.max_p95_ratio, self.min_requests)

    @property
    def limits(self) -> Limits:
        return Limits(self.max_error_rate, self.max_p95_ratio, self.min_requests)

    @property
    def has_ended(self) -> bool:
        return self.status not in UNDER_WAY


def check_steps(steps: Sequence[int]) -> tuple[int, ...]:
    """The steps themselves, if they may be some. Raises `Invalid` naming the field."""
    rising = all(earlier < later for earlier, later in pairwise(steps))
    if not steps or len(steps) > MOST_STEPS or not rising or steps[0] < 1 or steps[-1] != 100:
        shown = ", ".join(str(step) for step in steps[: MOST_STEPS + 1])
        message = (
            f"cannot go by the steps {shown or '(none)'}: they are 1 to {MOST_STEPS} whole percents, each larger than "
            "the one before, and the last is 100"
        )
        raise errors.Invalid(message, errors=[errors.FieldError(("steps",), message)])
    return tuple(steps)


class Next(StrEnum):
    """What the canaries reconciler does next with one."""

    ABORT = "abort"  # nothing is to serve any more
    ROLL_BACK = "roll_back"  # it does worse, or cannot start
    WAIT = "wait"  # its weight does not hold yet: replicas are missing
    BEGIN = "begin"  # its weight holds: start the step's clock
    INTERRUPT = "interrupt"  # the runtime is in trouble: the step begins anew when that is over
    HOLD = "hold"  # stay in this step
    ADVANCE = "advance"  # to the next step
    SUCCEED = "succeed"  # it has all the traffic


@dataclass(frozen=True)
class Seen:
    """What is known besides the row. `live` is what the endpoint serves, None when it is not to serve; `is_routed`
    whether the gateway has confirmed that; `trouble` why the new version's replicas do not come up; `in_error` why the
    runtime is in error; `counted` what the gateway counted of both versions in all, None when it could not be asked."""

    now: datetime
    live: Weights | None
    is_routed: bool
    trouble: str | None
    in_error: str | None
    counted: Tally | None


@dataclass(frozen=True)
class Decision:
    """`judged` is what was counted, this look included."""

    next: Next
    message: str | None = None
    judged: Tally | None = None


def next_step(canary: Canary, seen: Seen) -> Decision:
    """Pure: the row and what is seen, to one step. Tested as a table."""
    if seen.live is None:
        return Decision(Next.ABORT, "the endpoint is to serve no longer", canary.judged)
    judged = _judged(canary, seen)
    judgement = None if judged is None else judging.judge(judged.old, judged.new, canary.limits, judged.stretches)
    if judgement is not None and judgement.verdict == Verdict.WORSE:
        return Decision(Next.ROLL_BACK, f"version {canary.to_version} does worse: {judgement.message}", judged)
    if seen.trouble is not None:
        return Decision(Next.ROLL_BACK, f"version {canary.to_version} did not start: {seen.trouble}", judged)
    if seen.live != canary.split:
        return Decision(Next.WAIT, f"waits for the replicas that {canary.weight} % of the traffic needs", judged)
    if canary.step == len(canary.steps) - 1:
        return Decision(Next.SUCCEED, f"version {canary.to_version} has all the traffic", judged)
    return _stay_or_advance(canary, seen, judged, judgement)


def _judged(canary: Canary, seen: Seen) -> Tally | None:
    if canary.baseline is None:
        return None
    counted = seen.counted.since(canary.baseline) if seen.counted else NOTHING
    judged = (canary.judged or NOTHING).plus(counted)
    return replace(judged, stretches=judging.stretched(judged.stretches, judged.old, judged.new, canary.limits))


def _stay_or_advance(canary: Canary, seen: Seen, judged: Tally | None, judgement: Judgement | None) -> Decision:
    if seen.in_error is not None:
        return Decision(Next.INTERRUPT, f"waits until the runtime is in order: {seen.in_error}", judged)
    if canary.step_since is None and not seen.is_routed:
        return Decision(Next.HOLD, f"waits until the gateway has confirmed {canary.weight} %", judged)
    if seen.counted is None:
        return Decision(Next.HOLD, "waits until the gateway can be asked what it counted", judged)
    if canary.step_since is None or judgement is None:
        return Decision(Next.BEGIN)
    if canary.status == CanaryStatus.PAUSED:
        return Decision(Next.HOLD, f"paused at {canary.weight} %", judged)
    if seen.now < canary.step_since + timedelta(seconds=canary.interval_seconds):
        return Decision(Next.HOLD, None, judged)
    match judgement.verdict:
        case Verdict.TOO_FEW:
            message = f"waits for requests to version {canary.to_version} in this step: {judgement.message}"
            return Decision(Next.HOLD, message, judged)
        case Verdict.DOUBTFUL:
            message = f"waits for more requests, for this may be chance: {judgement.message}"
            return Decision(Next.HOLD, message, judged)
        case _:
            return Decision(Next.ADVANCE, None, judged)


def trouble(replicas: Sequence[Replica], start_seconds: float, now: datetime, *, enough: int | None) -> str | None:
    """Why the new version's replicas do not come up; None while they may. `enough`: its weight holds already, so that
    so many ready ones, the least that it must have, excuse the others."""
    ready = sum(replica.status == ReplicaStatus.READY for replica in replicas)
    if enough is not None and ready >= enough:
        return None
    for replica in replicas:
        if replica.status == ReplicaStatus.FAILED and replica.reason not in PASSING:
            return replica.message or replica.reason
        patience = start_seconds + GRACE_SECONDS
        if _starts_since(replica, now) < now - timedelta(seconds=patience):
            return f"a replica was not ready within {patience:g} s" + (
                f": {replica.message}" if replica.message else ""
            )
    return None


def _starts_since(replica: Replica, now: datetime) -> datetime:
    """While its image is fetched, which may take long and fails by itself, no time passes."""
    if replica.status == ReplicaStatus.STARTING:
        return replica.started_at or replica.created_at
    waiting = replica.status == ReplicaStatus.PENDING and replica.reason != Reason.IMAGE_PULLING
    return replica.updated_at if waiting else now
