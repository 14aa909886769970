"""Judging: whether a new version does worse than the old one, from what the gateway counted of both. Pure.

Both rules compare a share of bad requests with the share that is allowed: failed ones with `max_error_rate`, slow ones
with the 5 % that a 95th percentile leaves. A version is called worse only when, were it as good as allowed, so many bad
requests would come by chance in less than one case of a thousand (`SURE`); so one unlucky request ends nothing, and a
version that fails one request in twenty is found after some 150. In between it is in doubt: it stays where it is until
more requests tell.

Slow requests come together: a pause of the collector or a busy neighbour makes many of them at once, of either version
and as often of the one as of the other. So they prove little by their number alone. A version is called slow only when
it was so in one stretch of time after another, so often that the fall of a coin would not give it (`SURE`, ten of ten).
"""

import math
from dataclasses import dataclass, field
from enum import StrEnum

from roost_server.domain.traffic import Counts

SURE = 0.001
LEAST_ERRORS = 3
"""Fewer failed requests are never enough, however low the limit."""
LEAST_TIMED = 10
"""Fewer requests have no 95th percentile worth comparing, whatever `min_requests` says; so many make a stretch."""
FLOOR_MS = 5.0
"""A difference of so many milliseconds is none: twice as long as nothing still is nothing."""
P95 = 0.95


class Verdict(StrEnum):
    WORSE = "worse"  # beyond chance: it must go
    DOUBTFUL = "doubtful"  # beyond a limit, but it may be chance
    TOO_FEW = "too_few"  # not called often enough to tell
    GOOD = "good"


@dataclass(frozen=True)
class Limits:
    max_error_rate: float
    max_p95_ratio: float
    min_requests: int


@dataclass(frozen=True)
class Judgement:
    """`message` has the numbers, for people."""

    verdict: Verdict
    message: str


@dataclass(frozen=True)
class Stretches:
    """In how many stretches of time, each of `LEAST_TIMED` requests to the new version or more, it was slower than it
    may be, and in how many not; what was counted of it until the end of the last one."""

    slow: int = 0
    fine: int = 0
    until: Counts = field(default_factory=Counts)

    @property
    def agree(self) -> bool:
        """That it is slow."""
        return at_least(self.slow, self.slow + self.fine, 0.5) < SURE


def stretched(before: Stretches, old: Counts, new: Counts, limits: Limits) -> Stretches:
    """With one more, if the new version had enough requests since the last one's end."""
    limit, since = _slowest(old, limits), new.since(before.until)
    timed = sum(since.durations.values())
    if limit is None or timed < LEAST_TIMED:
        return before
    is_slow = _slower(since, limit) > (1 - P95) * timed
    return Stretches(before.slow + is_slow, before.fine + (not is_slow), new)


def judge(old: Counts, new: Counts, limits: Limits, stretches: Stretches) -> Judgement:
    """What was counted of both versions in the same time, and how that went."""
    found = [one for one in (_failing(old, new, limits), _slow(old, new, limits, stretches)) if one is not None]
    for verdict in (Verdict.WORSE, Verdict.DOUBTFUL):
        for judgement in found:
            if judgement.verdict == verdict:
                return judgement
    if new.requests < limits.min_requests:
        return Judgement(Verdict.TOO_FEW, f"{new.requests} of {limits.min_requests} requests")
    return Judgement(Verdict.GOOD, "no worse than the old version")


def _failing(old: Counts, new: Counts, limits: Limits) -> Judgement | None:
    """None when its errors are within the limit, or the old version fails as well."""
    if new.error_rate <= limits.max_error_rate or _fails_as_well(old, new, limits):
        return None
    chance = at_least(new.errors, new.requests, limits.max_error_rate)
    sure = new.errors >= LEAST_ERRORS and chance < SURE
    message = (
        f"{new.errors} of {new.requests} requests failed ({new.error_rate:.1%}; {limits.max_error_rate:.1%} may), "
        f"{old.errors} of {old.requests} to the old version"
    )
    return Judgement(Verdict.WORSE if sure else Verdict.DOUBTFUL, message)


def _fails_as_well(old: Counts, new: Counts, limits: Limits) -> bool:
    """Whether the old version is beyond the limit itself, and not surely better: then the trouble is not the new one's.

    Of all errors, a version that fails no more often than the other has a share like its share of the requests."""
    if old.error_rate <= limits.max_error_rate:
        return False
    share = new.requests / (new.requests + old.requests)
    return at_least(new.errors, new.errors + old.errors, share) >= SURE


def _slow(old: Counts, new: Counts, limits: Limits, stretches: Stretches) -> Judgement | None:
    """None when it is as quick as it must be, or either was called too seldom to compare."""
    timed, least = sum(new.durations.values()), max(limits.min_requests, LEAST_TIMED)
    was, now, limit = old.quantile(P95), new.quantile(P95), _slowest(old, limits)
    if limit is None or now is None or min(timed, sum(old.durations.values())) < least:
        return None
    if now <= limit:
        return None
    sure = at_least(_slower(new, limit), timed, 1 - P95) < SURE and stretches.agree
    message = (
        f"95 % of {timed} requests took up to {now:.0f} ms, {was:.0f} ms with the old version "
        f"({limits.max_p95_ratio:g} times as long may be)"
    )
    return Judgement(Verdict.WORSE if sure else Verdict.DOUBTFUL, message)


def _slowest(old: Counts, limits: Limits) -> float | None:
    """Milliseconds within which the new version is to answer 95 % of its requests; None without any to the old one."""
    was = old.quantile(P95)
    return None if was is None else max(was * limits.max_p95_ratio, was + FLOOR_MS)


def _slower(counts: Counts, limit: float) -> int:
    return sum(count for took, count in counts.durations.items() if took > limit)


def at_least(bad: int, of: int, share: float) -> float:
    """How likely `bad` or more of `of` requests are bad when each is with probability `share` (binomial)."""
    if bad <= 0 or share >= 1:
        return 1.0
    if share <= 0 or bad > of:
        return 0.0
    if bad <= of * share:
        return 1.0  # at least a half, roughly; nobody asks more precisely
    ways = math.lgamma(of + 1) - math.lgamma(bad + 1) - math.lgamma(of - bad + 1)
    term = math.exp(ways + bad * math.log(share) + (of - bad) * math.log1p(-share))
    total, odds = 0.0, share / (1 - share)
    while bad <= of and term > total * 1e-12:
        total += term
        term *= (of - bad) / (bad + 1) * odds
        bad += 1
    return total
