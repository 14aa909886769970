"""Samples as points in equal steps."""

import pytest
from roost_server.domain import series
from roost_server.domain.sample import TrafficSample, UsageSample
from roost_server.domain.series import Limits, Window

LIMITS = Limits(2.0, 1000)


def used(at: int, span: int, cores: float, memory: int = 100) -> UsageSample:
    return UsageSample("runtime", at, "replica", 1, span, cores, memory)


def answered(at: int, span: int, requests: int, errors: int = 0, p95: float | None = None) -> TrafficSample:
    return TrafficSample("endpoint", at, 1, span, requests, errors, p95, p95, p95)


@pytest.mark.parametrize(
    ("since", "until", "step", "expected"),
    [
        (0, 3600, None, Window(0, 3600, 30)),
        (0.5, 60.2, None, Window(0, 61, 1)),
        (0, 3600, 10, Window(0, 3600, 10)),
        (0, 86_400, 10, Window(0, 86_400, 87)),
        (-62_135_596_800, 0, 1, Window(-62_135_596_800, 0, 62_197_795)),
    ],
)
def test_a_step_is_made_larger_when_too_many_points_would_come(
    since: float, until: float, step: int | None, expected: Window
) -> None:
    wanted = series.window(since, until, step)
    assert wanted == expected
    assert (wanted.until - wanted.since) / wanted.step_seconds <= series.MOST_POINTS - 1


def test_samples_of_one_step_are_averaged_by_their_spans() -> None:
    (one,) = series.usage([used(70, 10, 1.0, 100), used(120, 50, 0.4, 300)], LIMITS, Window(60, 120, 60))
    assert one.cpu_cores == pytest.approx(0.5)
    assert (one.at, one.cpu_utilization, one.memory_bytes, one.memory_utilization) == (60, pytest.approx(25), 300, 30)


def test_a_long_sample_fills_every_step_that_it_covers() -> None:
    points = series.usage([used(300, 240, 0.5)], LIMITS, Window(0, 300, 60))
    assert [(one.at, one.cpu_cores) for one in points] == [(at, pytest.approx(0.5)) for at in (60, 120, 180, 240)]


def test_a_step_without_a_sample_has_no_point() -> None:
    points = series.usage([used(20, 10, 1.0), used(200, 10, 1.0)], LIMITS, Window(0, 200, 20))
    assert [one.at for one in points] == [0, 180]


def test_only_what_lies_in_the_window_counts() -> None:
    points = series.traffic([answered(100, 100, 100), answered(200, 100, 50)], Window(50, 150, 50))
    assert [(one.at, one.requests_per_second) for one in points] == [(50, 1.0), (100, 0.5)]


def test_traffic_is_per_second_and_its_quantiles_are_the_worst() -> None:
    (one,) = series.traffic([answered(10, 10, 30, 3, 5.0), answered(20, 10, 10, 1, 80.0)], Window(0, 20, 20))
    assert (one.requests_per_second, one.error_rate, one.p95_ms) == (2.0, 0.1, 80.0)
    (untimed,) = series.traffic([answered(10, 10, 30)], Window(0, 20, 20))
    assert untimed.p95_ms is None


def test_a_replica_that_still_is_there_goes_on_as_it_was() -> None:
    carried = series.carried_on([used(100, 10, 0.5)], 160)
    assert [(one.at, one.span_seconds) for one in carried] == [(100, 10), (160, 60)]
    assert series.carried_on(carried, 160) == carried
    assert series.carried_on([], 160) == []
