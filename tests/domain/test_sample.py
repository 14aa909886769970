"""From readings to samples: nothing is lost, and what stays the same is not written each time."""

from collections.abc import Sequence

import pytest
from roost_server.domain import sample
from roost_server.domain.replica import Usage
from roost_server.domain.sample import STEADY_SECONDS, Origin, Tracked, TrafficSample, UsageSample
from roost_server.domain.traffic import Counts

GIB = 1 << 30
ORIGIN = Origin("runtime", 1, 2.0, GIB, False, "agent", "default/default")


def play(readings: Sequence[tuple[float, float, int] | None], every: float = 10) -> list[UsageSample]:
    """Readings (seconds since the last one, cores used in them, memory) of one replica; None: it was not there."""
    tracked: dict[str, Tracked] = {}
    samples: list[UsageSample] = []
    at, cpu = 1000.0, 5.0
    for reading in readings:
        seen = {}
        if reading is None:
            at += every
        else:
            seconds, cores, memory = reading
            at, cpu = at + seconds, cpu + cores * seconds
            seen = {"replica": Usage(cpu, memory)}
        tracked, new = sample.usage(tracked, {"replica": ORIGIN}, seen, at)
        samples += new
    return samples


def test_the_first_reading_is_only_a_beginning() -> None:
    assert play([(0, 0, 100)]) == []


def test_two_readings_make_a_sample() -> None:
    (one,) = play([(0, 0, 100), (10, 0.5, 200)])
    assert one == UsageSample("runtime", 1010, "replica", 1, 10, 0.5, 200)


def test_what_stays_the_same_is_written_once_in_a_while() -> None:
    samples = play([(0, 0, 100)] + [(10, 0.5, 100)] * 60)
    assert len(samples) == 3
    assert [one.at for one in samples] == [1010, 1010 + STEADY_SECONDS, 1010 + 2 * STEADY_SECONDS]
    assert all(one.cpu_cores == pytest.approx(0.5) for one in samples)


def test_a_change_is_written_at_once_and_does_not_blur_what_was_before() -> None:
    before, change = play([(0, 0, 100), (10, 0, 100), (10, 0, 150), (10, 0, 100), (10, 1.5, 100)])[1:]
    assert (before.at, before.span_seconds, before.cpu_cores, before.memory_bytes) == (1030, 20, 0, 150)
    assert (change.at, change.span_seconds, change.cpu_cores, change.memory_bytes) == (1040, 10, 1.5, 100)


def test_memory_alone_is_a_change() -> None:
    assert len(play([(0, 0, 0), (10, 0, 0), (10, 0, GIB // 2)])) == 2
    assert len(play([(0, 0, 0), (10, 0, 0), (10, 0, GIB // 100)])) == 1


def test_the_end_of_a_replica_is_written() -> None:
    samples = play([(0, 0, 100), (10, 0, 100), (10, 0, 100), None, None])
    assert [(one.at, one.span_seconds) for one in samples] == [(1010, 10), (1020, 10)]


def test_a_replica_that_was_started_anew_counts_from_zero() -> None:
    tracked, _ = sample.usage({}, {"replica": ORIGIN}, {"replica": Usage(50, 100)}, 1000)
    tracked, first = sample.usage(tracked, {}, {"replica": Usage(55, 100)}, 1010)
    tracked, anew = sample.usage(tracked, {"replica": ORIGIN}, {"replica": Usage(1, 100)}, 1020)
    tracked, after = sample.usage(tracked, {}, {"replica": Usage(3, 100)}, 1030)
    assert ([one.cpu_cores for one in first], anew, [one.cpu_cores for one in after]) == ([0.5], [], [0.2])


def test_boxes_without_a_row_are_left_alone() -> None:
    assert sample.usage({}, {}, {"stranger": Usage(1, 1)}, 1000) == ({}, [])


def test_samples_cover_all_time_and_all_use_whatever_happens() -> None:
    cores = [0.0, 0.0, 1.0, 1.0, 0.0, 2.0, 0.01, 0.02, 0.0, 0.5] * 9
    samples = play([(0, 0, 100), *((10, one, 100) for one in cores), None])
    assert sum(one.span_seconds for one in samples) == 10 * len(cores)
    assert sum(one.span_seconds * one.cpu_cores for one in samples) == pytest.approx(10 * sum(cores))
    ends = [one.at for one in samples]
    assert [one.at - one.span_seconds for one in samples][1:] == ends[:-1]


def test_traffic_is_what_came_since_the_reading_before() -> None:
    before = {("e", 1): Counts(10, 1, {5: 10}), ("e", 2): Counts(3, 0, {1: 3})}
    after = {("e", 1): Counts(110, 6, {5: 60, 50: 40, 900: 10}), ("e", 2): Counts(3, 0, {1: 3}), ("f", 1): Counts(1)}
    assert sample.traffic(before, after, 2000, 10) == [
        TrafficSample("e", 2000, 1, 10, 100, 5, 5, 900, 900),
        TrafficSample("f", 2000, 1, 10, 1, 0, None, None, None),
    ]


def test_a_gateway_that_began_anew_counts_from_zero() -> None:
    (one,) = sample.traffic({("e", 1): Counts(100, 0, {5: 100})}, {("e", 1): Counts(4, 4, {7: 4})}, 2000, 10)
    assert (one.requests, one.errors, one.p50_ms) == (4, 4, 7)
