"""Whether a new version does worse, as a table, and how often chance would mislead."""

import math
import random

import pytest
from roost_server.domain.judging import SURE, Judgement, Limits, Stretches, Verdict, at_least, judge, stretched
from roost_server.domain.traffic import Counts

LIMITS = Limits(max_error_rate=0.01, max_p95_ratio=1.5, min_requests=20)
ALWAYS = Stretches(slow=10)
"""It was slow all the time."""
WORSE, DOUBTFUL, TOO_FEW, GOOD = Verdict.WORSE, Verdict.DOUBTFUL, Verdict.TOO_FEW, Verdict.GOOD


def counts(requests: int, errors: int = 0, took: float = 10.0, slow: int = 0) -> Counts:
    """`slow` of them took ten times as long."""
    return Counts(requests, errors, {took: requests - slow, took * 10: slow})


def verdict(old: Counts, new: Counts, limits: Limits = LIMITS) -> Verdict:
    return judge(old, new, limits, ALWAYS).verdict


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(counts(0), counts(0), TOO_FEW, id="nobody called"),
        pytest.param(counts(1000), counts(19), TOO_FEW, id="not called often enough"),
        pytest.param(counts(1000), counts(20), GOOD, id="called often enough"),
        pytest.param(counts(1000), counts(100, 1), GOOD, id="as many errors as may be"),
        pytest.param(counts(1000), counts(20, 1), DOUBTFUL, id="one unlucky request"),
        pytest.param(counts(1000), counts(3, 2), DOUBTFUL, id="two failed, which is too few to be sure"),
        pytest.param(counts(1000), counts(3, 3), WORSE, id="whatever was asked failed"),
        pytest.param(counts(3000), counts(100, 5), DOUBTFUL, id="one in twenty, seldom called"),
        pytest.param(counts(3000), counts(160, 8), WORSE, id="one in twenty"),
        pytest.param(counts(3000, 150), counts(160, 8), GOOD, id="the old version fails as often"),
        pytest.param(counts(3000, 90), counts(160, 8), GOOD, id="the old version fails nearly as often"),
        pytest.param(counts(3000, 60), counts(400, 60), WORSE, id="the old version fails too, but far less"),
        pytest.param(counts(10), counts(1000, 50), WORSE, id="hardly any requests to the old version, none failed"),
        pytest.param(counts(0), counts(400, 20), WORSE, id="none to the old version"),
        pytest.param(counts(1000), counts(100, took=15.0), GOOD, id="as slow as may be"),
        pytest.param(counts(1000), counts(100, took=16.0), WORSE, id="all slower than may be"),
        pytest.param(counts(1000), counts(10, took=100.0), TOO_FEW, id="slow, but too few to compare"),
        pytest.param(counts(15), counts(100, took=100.0), GOOD, id="too few of the old version to compare"),
        pytest.param(counts(1000), counts(20, slow=1), GOOD, id="one slow request of twenty"),
        pytest.param(counts(1000), counts(20, slow=2), DOUBTFUL, id="two slow requests of twenty"),
        pytest.param(counts(1000), counts(20, slow=7), WORSE, id="a third is slow"),
        pytest.param(counts(1000, slow=300), counts(100, slow=30), GOOD, id="both are slow at times"),
        pytest.param(counts(1000, took=1.0), counts(100, took=5.0), GOOD, id="a few milliseconds are no reason"),
        pytest.param(counts(1000, took=0.5), counts(100, took=7.0), WORSE, id="more than a few are"),
        pytest.param(counts(1000), counts(160, 8, took=100.0), WORSE, id="failing and slow"),
    ],
)
def test_the_verdict(old: Counts, new: Counts, expected: Verdict) -> None:
    assert verdict(old, new) == expected


@pytest.mark.parametrize(
    ("limits", "new", "expected"),
    [
        pytest.param(Limits(0.0, 1.5, 20), counts(1000, 3), WORSE, id="no error may be"),
        pytest.param(Limits(0.0, 1.5, 20), counts(1000, 2), DOUBTFUL, id="no error may be, but two are chance"),
        pytest.param(Limits(1.0, 1.5, 20), counts(1000, 1000), GOOD, id="all may fail"),
        pytest.param(Limits(0.5, 1.5, 20), counts(3, 3), DOUBTFUL, id="half may fail, three in a row are chance"),
        pytest.param(Limits(0.01, 1.5, 0), counts(0), GOOD, id="no request is needed"),
        pytest.param(Limits(0.01, 1.5, 0), counts(9, took=100.0), GOOD, id="nine requests have no percentile"),
        pytest.param(Limits(0.01, 20, 20), counts(100, took=150.0), GOOD, id="twenty times as slow may be"),
    ],
)
def test_the_limits_are_the_callers(limits: Limits, new: Counts, expected: Verdict) -> None:
    assert verdict(counts(5000), new, limits) == expected


def test_the_numbers_are_told() -> None:
    failing = judge(counts(3000, 3), counts(160, 8), LIMITS, Stretches())
    assert failing == Judgement(WORSE, "8 of 160 requests failed (5.0%; 1.0% may), 3 of 3000 to the old version")
    slow = judge(counts(3000), counts(160, took=40.0), LIMITS, ALWAYS)
    assert (
        slow.message == "95 % of 160 requests took up to 40 ms, 10 ms with the old version (1.5 times as long may be)"
    )
    assert judge(counts(9), counts(7), LIMITS, Stretches()).message == "7 of 20 requests"


@pytest.mark.parametrize(("of", "share"), [(1, 0.5), (20, 0.05), (60, 0.3), (200, 0.01)])
def test_the_tail_of_the_binomial_is_exact_above_its_mean(of: int, share: float) -> None:
    for bad in range(int(of * share) + 1, of + 1):
        exact = sum(math.comb(of, n) * share**n * (1 - share) ** (of - n) for n in range(bad, of + 1))
        assert at_least(bad, of, share) == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize(
    ("bad", "of", "share", "expected"),
    [(0, 10, 0.1, 1.0), (1, 0, 0.1, 0.0), (1, 10, 0.0, 0.0), (5, 10, 1.0, 1.0), (10**6, 10**7, 0.01, 0.0)],
)
def test_the_tail_at_its_ends(bad: int, of: int, share: float, expected: float) -> None:
    assert at_least(bad, of, share) == expected


def ever_worse(chance: random.Random, rate: float, old_rate: float, requests: int) -> int | None:
    """After how many of the new version's requests it is called worse, looking after each ten, with 5 % of all."""
    old_errors = errors = 0
    for number in range(10, requests + 1, 10):
        errors += sum(chance.random() < rate for _ in range(10))
        old_errors += sum(chance.random() < old_rate for _ in range(190))
        if verdict(counts(number * 19, old_errors), counts(number, errors)) == WORSE:
            return number
    return None


def test_a_version_at_half_the_limit_is_hardly_ever_called_worse() -> None:
    chance = random.Random(1)
    found = [ever_worse(chance, 0.005, 0.005, 1000) for _ in range(100)]
    assert sum(one is not None for one in found) <= 1


def test_a_version_that_fails_as_often_as_the_old_one_is_hardly_ever_called_worse() -> None:
    chance = random.Random(2)
    found = [ever_worse(chance, 0.05, 0.05, 1000) for _ in range(100)]
    assert sum(one is not None for one in found) <= 5


def test_a_version_that_fails_one_in_twenty_is_always_found_in_some_hundred_requests() -> None:
    chance = random.Random(3)
    found = sorted(ever_worse(chance, 0.05, 0.001, 1000) or 10**9 for _ in range(100))
    assert found[50] <= 200 and found[-1] <= 1000
    assert SURE <= 0.001


@pytest.mark.parametrize(
    ("stretches", "expected"),
    [
        pytest.param(Stretches(slow=1), DOUBTFUL, id="in one stretch, which may be a pause"),
        pytest.param(Stretches(slow=9), DOUBTFUL, id="in nine of nine"),
        pytest.param(Stretches(slow=10), WORSE, id="in ten of ten"),
        pytest.param(Stretches(slow=12, fine=1), DOUBTFUL, id="in twelve of thirteen"),
        pytest.param(Stretches(slow=13, fine=1), WORSE, id="in thirteen of fourteen"),
        pytest.param(Stretches(slow=30, fine=30), DOUBTFUL, id="as often as not"),
    ],
)
def test_a_version_is_slow_when_it_was_so_time_and_again(stretches: Stretches, expected: Verdict) -> None:
    assert judge(counts(1000), counts(100, took=40.0), LIMITS, stretches).verdict == expected


def test_a_version_that_fails_goes_in_any_stretch() -> None:
    assert judge(counts(3000), counts(160, 8), LIMITS, Stretches()).verdict == WORSE


@pytest.mark.parametrize(
    ("old", "new", "slow", "fine"),
    [
        pytest.param(counts(1000), counts(10, took=40.0), 1, 0, id="ten slow ones"),
        pytest.param(counts(1000), counts(10), 0, 1, id="ten quick ones"),
        pytest.param(counts(1000), counts(20, slow=1), 0, 1, id="as many slow ones as may be"),
        pytest.param(counts(1000), counts(20, slow=2), 1, 0, id="more"),
        pytest.param(counts(1000), counts(9, took=40.0), 0, 0, id="too few for a stretch"),
        pytest.param(Counts(), counts(10, took=40.0), 0, 0, id="nothing to compare with"),
    ],
)
def test_a_stretch_has_ten_requests_and_was_slow_or_not(old: Counts, new: Counts, slow: int, fine: int) -> None:
    found = stretched(Stretches(), old, new, LIMITS)
    assert (found.slow, found.fine) == (slow, fine)


def test_each_request_belongs_to_one_stretch() -> None:
    first = stretched(Stretches(), counts(1000), counts(100, took=40.0), LIMITS)
    assert stretched(first, counts(1000), counts(100, took=40.0), LIMITS) == first
    more = counts(100, took=40.0).plus(counts(15))
    assert stretched(first, counts(1000), more, LIMITS) == Stretches(slow=1, fine=1, until=more)


def ended(chance: random.Random, extra_ms: float) -> bool:
    """Whether a version is called worse within a minute. The old version and it halt now and then, each for itself, for
    a good part of a second; every answer of the new one takes so much longer."""
    old, new, stretches = Counts(), Counts(), Stretches()
    for _ in range(60):
        old = old.plus(_second(chance, 190, 0.0))
        new = new.plus(_second(chance, 10, extra_ms))
        stretches = stretched(stretches, old, new, LIMITS)
        if judge(old, new, LIMITS, stretches).verdict == WORSE:
            return True
    return False


def _second(chance: random.Random, requests: int, extra_ms: float) -> Counts:
    """One second in five has a halt, which the requests that come within it wait for."""
    halt = round(requests * chance.random()) if chance.random() < 0.2 else 0
    return Counts(requests, 0, {3.0 + extra_ms: requests - halt, 300.0 + extra_ms: halt})


def test_halts_of_either_version_end_hardly_any_canary_and_hide_no_slow_version() -> None:
    chance = random.Random(4)
    assert sum(ended(chance, 0.0) for _ in range(100)) <= 1
    assert all(ended(chance, 1000.0) for _ in range(100))
