"""Autoscaling: how many replicas of a version its use of CPU and memory asks for. Pure.

The rule is that of Kubernetes' HorizontalPodAutoscaler (autoscaling/v2, `replica_calculator.go`):
ceil(replicas x use / target), the larger of CPU and memory; nothing within 10 % of the target; replicas without a
sample count as idle when more are asked for and as fully used when fewer are. More replicas come at once; fewer only
after fewer had done for a while, and then as many as that while asked for at most.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from roost_server.domain.config import Autoscaling

TOLERANCE = 0.1
FULL = 100.0


@dataclass(frozen=True)
class Use:
    """What one replica uses, in percent of its limits."""

    cpu: float
    memory: float


@dataclass(frozen=True)
class Standing:
    """How many replicas were decided on; since when fewer would do, and how many at most since then."""

    replicas: int
    low_since: datetime | None = None
    low_most: int | None = None


@dataclass(frozen=True)
class Decision:
    """`measured` of the replicas had a sample; `cpu` and `memory` are the means of those, None without any."""

    standing: Standing
    cpu: float | None
    memory: float | None
    measured: int


@dataclass(frozen=True)
class Clock:
    """The time, and for how long fewer replicas must do before there are fewer."""

    now: datetime
    scale_in_seconds: float


def decide(scaling: Autoscaling, uses: Sequence[Use | None], before: Standing, clock: Clock) -> Decision:
    """`uses` has one item a replica, None where it has no sample yet."""
    known = [use for use in uses if use is not None]
    if not known:
        return Decision(replace(before, replicas=_within(scaling, before.replicas)), None, None, 0)
    missing = len(uses) - len(known)
    wanted = max(
        _proposed([use.cpu for use in known], missing, scaling.cpu_utilization, before.replicas),
        _proposed([use.memory for use in known], missing, scaling.memory_utilization, before.replicas),
    )
    standing = _settled(_within(scaling, wanted), _within(scaling, before.replicas), before, clock)
    return Decision(standing, _mean([use.cpu for use in known]), _mean([use.memory for use in known]), len(known))


def _proposed(known: Sequence[float], missing: int, target: float, current: int) -> int:
    """What one resource asks for; `current` when it asks for no change, or the missing samples could turn it round."""
    ratio = _mean(known) / target
    if not missing:
        return current if abs(ratio - 1) <= TOLERANCE else math.ceil(ratio * len(known))
    assumed = 0.0 if ratio > 1 else FULL
    careful = _mean([*known, *[assumed] * missing]) / target
    if abs(careful - 1) <= TOLERANCE or (ratio > 1) != (careful > 1):
        return current
    proposed = math.ceil(careful * (len(known) + missing))
    return current if (careful > 1) == (proposed < current) else proposed


def _settled(wanted: int, current: int, before: Standing, clock: Clock) -> Standing:
    if wanted >= current:
        return Standing(wanted)
    if before.low_since is None:
        return Standing(current, clock.now, wanted)
    most = max(wanted, before.low_most or 0)
    if clock.now - before.low_since < timedelta(seconds=clock.scale_in_seconds):
        return Standing(current, before.low_since, most)
    return Standing(most, clock.now, wanted) if wanted < most else Standing(most)


def _within(scaling: Autoscaling, replicas: int) -> int:
    return min(scaling.max_replicas, max(scaling.min_replicas, replicas))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def explain(decision: Decision, scaling: Autoscaling, version: int, before: int, scale_in_seconds: float) -> str:
    """The change for people, such as "version 3: 1 → 3 replicas: CPU at 92 % of its limit (target 50 %)"."""
    to = decision.standing.replicas
    found = (("CPU", decision.cpu, scaling.cpu_utilization), ("memory", decision.memory, scaling.memory_utilization))
    told = [(name, use, target) for name, use, target in found if use is not None]
    if to > before:
        told = [one for one in told if one[1] > one[2]] or told
    parts = [f"{name} at {use:.0f} % of its limit (target {target} %)" for name, use, target in told]
    why = " and ".join(parts) or f"at least {scaling.min_replicas}, at most {scaling.max_replicas}"
    held = f", fewer would have done for {scale_in_seconds:g} s" if to < before and parts else ""
    return f"version {version}: {before} → {to} {'replica' if to == 1 else 'replicas'}: {why}{held}"


def document(decision: Decision, scaling: Autoscaling, version: int, before: int) -> dict[str, object]:
    """The same for programs."""
    return {
        "version": version,
        "from": before,
        "to": decision.standing.replicas,
        "cpu_utilization": None if decision.cpu is None else round(decision.cpu, 1),
        "cpu_target": scaling.cpu_utilization,
        "memory_utilization": None if decision.memory is None else round(decision.memory, 1),
        "memory_target": scaling.memory_utilization,
        "replicas_measured": decision.measured,
    }
