"""Samples: written many at a time, summed up as they age, read by runtime, endpoint and replica."""

from collections.abc import Sequence

import pytest
from roost_server.domain.sample import TrafficSample, UsageSample
from roost_server.reconcilers import ageing
from roost_server.store import endpoints, runtimes, samples
from roost_server.store.samples import SUMMED
from roost_server.store.store import Store
from roost_server.store.workspaces import Workspace

END = 1_800_000_000 // SUMMED * SUMMED


@pytest.fixture
async def runtime_id(store: Store, workspace: Workspace) -> str:
    async with store.write() as tx:
        return (await runtimes.insert(tx, workspace.id, "agent", "", {})).id


@pytest.fixture
async def endpoint_id(store: Store, runtime_id: str) -> str:
    async with store.write() as tx:
        return (await endpoints.insert(tx, runtime_id, "DEFAULT", is_default=True)).id


async def write(store: Store, *given: UsageSample | TrafficSample) -> None:
    async with store.write() as tx:
        usage = [one for one in given if isinstance(one, UsageSample)]
        await samples.insert(tx, usage, [one for one in given if isinstance(one, TrafficSample)])


def used(runtime_id: str, at: int, cores: float = 0.5, **other: object) -> UsageSample:
    values = {"replica_id": "r1", "version": 1, "span_seconds": 10, "memory_bytes": 100}
    return UsageSample(runtime_id=runtime_id, at=at, cpu_cores=cores, **{**values, **other})  # type: ignore[arg-type]


def answered(endpoint_id: str, at: int, requests: int = 10, **other: object) -> TrafficSample:
    values = {"version": 1, "span_seconds": 10, "errors": 0, "p50_ms": 1.0, "p95_ms": 2.0, "p99_ms": None}
    return TrafficSample(endpoint_id=endpoint_id, at=at, requests=requests, **{**values, **other})  # type: ignore[arg-type]


async def usage(store: Store, runtime_id: str) -> Sequence[UsageSample]:
    async with store.read() as tx:
        return await samples.usage(tx, runtime_id, 0, END * 2)


async def traffic(store: Store, endpoint_id: str) -> Sequence[TrafficSample]:
    async with store.read() as tx:
        return await samples.traffic(tx, [endpoint_id], 0, END * 2)


async def test_samples_are_read_as_they_were_written(store: Store, runtime_id: str, endpoint_id: str) -> None:
    first, second, asked = used(runtime_id, 100), used(runtime_id, 110), answered(endpoint_id, 110)
    await write(store, second, asked, first)
    assert await usage(store, runtime_id) == [first, second]
    assert await traffic(store, endpoint_id) == [asked]


async def test_what_covers_any_of_a_time_is_read(store: Store, runtime_id: str, endpoint_id: str) -> None:
    usual = [used(runtime_id, at) for at in (100, 110, 120)]
    long = used(runtime_id, 400, span_seconds=270)
    await write(store, *usual, long)
    async with store.read() as tx:
        assert await samples.usage(tx, runtime_id, 100, 111) == [usual[1], usual[2]]
        assert await samples.usage(tx, runtime_id, 125, 140) == [long]
        assert await samples.usage(tx, "another", 0, 1000) == []


async def test_samples_of_what_is_deleted_are_left_out(store: Store, runtime_id: str, endpoint_id: str) -> None:
    await write(store, used("gone", 100), answered("gone", 100), used(runtime_id, 100), answered(endpoint_id, 100))
    assert len(await usage(store, runtime_id)) == len(await traffic(store, endpoint_id)) == 1
    async with store.write() as tx:
        await runtimes.delete(tx, runtime_id)
    assert await usage(store, runtime_id) == await traffic(store, endpoint_id) == []


async def test_two_gateways_that_count_in_the_same_second_add_up(store: Store, endpoint_id: str) -> None:
    await write(store, answered(endpoint_id, 100, 10, errors=1, p95_ms=5.0))
    await write(store, answered(endpoint_id, 100, 4, errors=2, p95_ms=3.0, p50_ms=9.0))
    (one,) = await traffic(store, endpoint_id)
    assert (one.requests, one.errors, one.p50_ms, one.p95_ms, one.p99_ms) == (14, 3, 9.0, 5.0, None)


async def test_a_replica_measured_twice_in_a_second_keeps_the_first(store: Store, runtime_id: str) -> None:
    first = used(runtime_id, 100, 0.5)
    await write(store, first)
    await write(store, used(runtime_id, 100, 0.9))
    assert await usage(store, runtime_id) == [first]


async def test_five_minutes_become_one_sample(store: Store, runtime_id: str, endpoint_id: str) -> None:
    ends = range(END - SUMMED + 10, END + 1, 10)
    await write(store, *[used(runtime_id, at, 1.0 if at == END else 0.0, memory_bytes=at) for at in ends])
    await write(store, used(runtime_id, END, 0.25, replica_id="r2", span_seconds=240))
    await write(store, *[answered(endpoint_id, at, 2, errors=1, p95_ms=float(END - at)) for at in ends])
    await write(store, answered(endpoint_id, END, version=2), used(runtime_id, END + 10))
    async with store.write() as tx:
        await samples.sum_up(tx, END)
    *summed, later = await usage(store, runtime_id)
    assert later == used(runtime_id, END + 10)
    assert {one.replica_id: (one.cpu_cores, one.memory_bytes) for one in summed} == {
        "r1": (pytest.approx(1 / 30), END),
        "r2": (0.25, 100),
    }
    assert {(one.at, one.span_seconds, one.version) for one in summed} == {(END, SUMMED, 1)}
    first, second = sorted(await traffic(store, endpoint_id), key=lambda one: one.version)
    assert (first.requests, first.errors, first.p50_ms, first.p95_ms, first.p99_ms) == (60, 30, 1.0, SUMMED - 10, None)
    assert (first.at, first.span_seconds, second.version, second.requests) == (END, SUMMED, 2, 10)


async def test_summing_up_again_changes_nothing(store: Store, runtime_id: str) -> None:
    await write(store, used(runtime_id, END - 200), used(runtime_id, END))
    for _ in range(2):
        async with store.write() as tx:
            await samples.sum_up(tx, END)
    (one,) = await usage(store, runtime_id)
    assert (one.at, one.span_seconds, one.cpu_cores) == (END, SUMMED, 0.5)


async def test_what_is_older_than_an_hour_is_summed_up_and_what_is_too_old_removed(
    store: Store, runtime_id: str, endpoint_id: str
) -> None:
    hours = {name: END - age * 3600 for name, age in (("ancient", 30), ("old", 3), ("fresh", 0))}
    await write(store, *[used(runtime_id, at - gap) for at in hours.values() for gap in (0, 10)])
    await write(store, *[answered(endpoint_id, at - gap) for at in hours.values() for gap in (0, 10)])
    await ageing.age(store, 24, END)
    assert [(one.at, one.span_seconds) for one in await usage(store, runtime_id)] == [
        (hours["old"], SUMMED),
        (hours["fresh"] - 10, 10),
        (hours["fresh"], 10),
    ]
    assert [one.requests for one in await traffic(store, endpoint_id)] == [20, 10, 10]
    async with store.read() as tx:
        assert await samples.oldest_fresh(tx) == hours["fresh"] - 10


async def test_each_replicas_last_sample_is_found(store: Store, runtime_id: str) -> None:
    last = used(runtime_id, 120), used(runtime_id, 115, replica_id="r2", version=2)
    await write(store, used(runtime_id, 100), used(runtime_id, 50, replica_id="r3"), *last)
    async with store.read() as tx:
        assert await samples.latest(tx, [runtime_id], 60) == {one.replica_id: one for one in last}
        assert await samples.latest(tx, [], 60) == {}


async def test_past_replicas_and_versions_are_known_by_their_samples(
    store: Store, runtime_id: str, endpoint_id: str
) -> None:
    await write(store, used(runtime_id, 100), used(runtime_id, 100, replica_id="r2", version=2))
    await write(store, answered(endpoint_id, 100), answered(endpoint_id, 200, version=3))
    async with store.read() as tx:
        assert await samples.replicas_of(tx, runtime_id, {2, 3}) == {"r2"}
        assert await samples.versions_of(tx, endpoint_id) == {1, 3}
        assert await samples.versions_of(tx, endpoint_id, since=100) == {3}
