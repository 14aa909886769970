"""What was measured, through the SDK and the command."""

import json
import signal
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from roost import AsyncRoost, NotFoundError, Roost, Runtime, ValidationError
from roost.cli import metric, output, plot
from roost.models import EndpointMetrics, Metrics, ReplicaMetrics, TrafficPoint, UsagePoint
from support.installation import until

from client.conftest import Command

pytestmark = pytest.mark.slow

BEGIN = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


@pytest.fixture
def measured(client: Roost, name: str) -> Runtime:
    """A runtime that was measured at least once."""
    runtime = client.runtimes.create(name, "hello")
    until(lambda: runtime.metrics().replicas)
    return runtime


def test_series_are_read_of_a_runtime_and_of_an_endpoint(measured: Runtime) -> None:
    (replica,) = measured.list_replicas()
    found = measured.metrics(since="10m", step_seconds=60)
    assert (found.replicas[0].replica_id, found.replicas[0].memory_limit_bytes) == (replica.id, 1 << 30)
    assert found.replicas[0].points[-1].memory_bytes == 1 << 20
    assert (found.step_seconds, found.endpoints) == (60, [])
    assert timedelta(minutes=10) <= found.until - found.since < timedelta(minutes=11)
    assert measured.metrics(endpoint="DEFAULT", until=datetime.now(UTC)).endpoints == []
    with pytest.raises(NotFoundError):
        measured.metrics(endpoint="other")
    with pytest.raises(ValidationError, match="before"):
        measured.metrics(since="1m", until="1h")


async def test_the_async_client_reads_the_same(measured: Runtime, async_client: AsyncRoost) -> None:
    runtime = await async_client.runtimes.get(measured.name)
    assert [one.replica_id for one in (await runtime.metrics()).replicas] == [measured.list_replicas()[0].id]
    assert measured.name in [one.name async for one in async_client.runtimes.figures()]


def test_figures_of_all_runtimes(measured: Runtime, client: Roost) -> None:
    figures = next(one for one in client.runtimes.figures() if one.name == measured.name)
    assert (figures.status, figures.replicas.ready, figures.memory_bytes) == ("active", 1, 1 << 20)
    assert (figures.cpu_limit_cores, figures.requests_per_second, figures.p95_ms) == (1, 0, None)


def test_top_shows_all_runtimes_and_one_in_detail(roost: Command, measured: Runtime) -> None:
    lines = roost("top").out.splitlines()
    assert lines[0].split() == ["NAME", "STATUS", "REPLICAS", "CPU", "MEMORY", "REQ/S", "ERRORS", "P95"]
    row = next(line for line in lines if line.startswith(measured.name))
    assert "active" in row and "1/1" in row and "0.00 of 1" in row and "1.0 MiB of 1.0 GiB" in row
    detail = roost("top", measured.name).out.splitlines()
    assert detail[1].startswith(measured.list_replicas()[0].id) and len(detail) == 2
    assert measured.name in [one["name"] for one in json.loads(roost("top", "--json").out)]
    assert json.loads(roost("top", measured.name, "--json").out)["step_seconds"] == 1
    assert roost("top", "nobody").code == 3


def test_top_watches_until_interrupted(measured: Runtime, spawn: Callable[..., "subprocess.Popen[str]"]) -> None:
    with spawn("top", "--watch") as process:
        assert process.stdout is not None
        headers = 0
        while headers < 2:  # the columns are as wide as what else is in them just then
            line = process.stdout.readline()
            assert line, "it ended"
            headers += line.split()[:2] == ["NAME", "STATUS"]
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode == 130


def test_metrics_are_drawn(roost: Command, measured: Runtime) -> None:
    drawn = roost("metrics", measured.name, "--since", "5m").out
    assert drawn.startswith("replicas   now 1, most 1\n") and "memory   now 0.1 %" in drawn and "UTC" in drawn
    assert roost("metrics", measured.name, "--endpoint", "DEFAULT").out.startswith("replicas   now 1")
    assert roost("metrics", measured.name, "--since", "2026-01-31T12:00:00Z").code == 0
    assert json.loads(roost("metrics", measured.name, "--json").out)["replicas"]
    assert roost("metrics", measured.name, "--since", "soon").code == 2


def test_events_follow_until_interrupted(
    roost: Command, measured: Runtime, spawn: Callable[..., "subprocess.Popen[str]"]
) -> None:
    with spawn("events", "-f", measured.name, "-n", "1") as process:
        assert process.stdout is not None
        assert "→ active" in process.stdout.readline()
        roost("shutdown", measured.name)
        assert "runtime.stopping" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert (process.returncode, err) == (130, "")


def test_logs_of_one_endpoint(roost: Command, measured: Runtime) -> None:
    assert roost("logs", measured.name, "--endpoint", "DEFAULT").out == "started the image\n"
    assert roost("logs", measured.name, "--endpoint", "other").code == 3


def test_logs_of_one_endpoint_follow_replicas_that_come_later(
    roost: Command, measured: Runtime, spawn: Callable[..., "subprocess.Popen[str]"]
) -> None:
    with spawn("logs", "-f", measured.name, "--endpoint", "DEFAULT") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started the image\n"
        roost("shutdown", measured.name)
        roost("boot", measured.name)
        assert process.stdout.readline() == "started the image\n"
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode == 130


@pytest.mark.parametrize(
    ("values", "rows"),
    [
        (
            [1.0, 2.0, None, 0.0],
            ["         2 │ █", "           │ █", "           │▄█", "           │██", "         0 │██"],
        ),
        ([0.001, 100.0], ["       100 │ █", "           │ █", "           │ █", "           │ █", "         0 │▁█"]),
        ([0.0, 0.0], ["         0 │", "           │", "           │", "           │", "         0 │"]),
    ],
)
def test_a_chart_has_a_column_for_each_step(values: list[float | None], rows: list[str]) -> None:
    assert plot.chart("x", values, lambda value: f"{value:.0f}")[1:] == rows


def test_a_chart_of_nothing_is_not_drawn() -> None:
    assert plot.chart("x", [None, None], str) == []


def test_charts_join_replicas_and_versions() -> None:
    first, second = BEGIN, BEGIN + timedelta(seconds=10)
    replicas = [
        ReplicaMetrics(
            "a", 1, 1.0, 100, [UsagePoint(first, 0.2, 20.0, 50, 50.0), UsagePoint(second, 0.6, 60.0, 50, 50.0)]
        ),
        ReplicaMetrics("b", 2, 1.0, 100, [UsagePoint(second, 0.2, 20.0, 10, 10.0)]),
    ]
    endpoints = [
        EndpointMetrics("e", "DEFAULT", 1, [TrafficPoint(second, 3.0, 0.0, 1.0, 5.0, 9.0)]),
        EndpointMetrics("e", "DEFAULT", 2, [TrafficPoint(second, 1.0, 1.0, 1.0, 1500.0, 2000.0)]),
    ]
    drawn = metric.drawn(Metrics(first, first + timedelta(seconds=20), 10, replicas, endpoints))
    titles = [line for line in drawn if "   now " in line]
    assert titles == [
        "replicas   now 2, most 2",
        "CPU   now 40 %, most 40 %",
        "memory   now 30 %, most 50 %",
        "requests/s   now 4.0, most 4.0",
        "errors   now 25 %, most 25 %",
        "p95   now 1.5 s, most 1.5 s",
    ]
    assert drawn[-1].endswith("12:00 UTC") and drawn[-1].strip().startswith("└12:00")


@pytest.mark.parametrize(("value", "shown"), [(0.0, "<1 ms"), (0.4, "<1 ms"), (1.0, "1 ms"), (1500.0, "1.5 s")])
def test_what_took_less_than_is_counted_is_not_shown_as_nothing(value: float, shown: str) -> None:
    assert output.milliseconds(value) == shown


def test_where_nothing_failed_no_chart_of_errors_is_drawn() -> None:
    points = [TrafficPoint(BEGIN, 3.0, 0.0, 1.0, 2.0, 3.0)]
    endpoints = [EndpointMetrics("e", "DEFAULT", 1, points)]
    drawn = metric.drawn(Metrics(BEGIN, BEGIN + timedelta(seconds=10), 10, [], endpoints))
    place = drawn.index("errors   now 0 %, most 0 %")
    assert drawn[place + 1 : place + 3] == ["", "p95   now 2 ms, most 2 ms"]


def test_the_chart_of_short_answers_begins_at_nothing() -> None:
    points = [TrafficPoint(BEGIN, 3.0, 0.0, 0.0, 0.0, 0.0)]
    endpoints = [EndpointMetrics("e", "DEFAULT", 1, points)]
    chart = metric.drawn(Metrics(BEGIN, BEGIN + timedelta(seconds=10), 10, [], endpoints))[-7:-1]
    assert chart[0] == "p95   now <1 ms, most <1 ms"
    assert [chart[1].split()[0:2], chart[-1].split()[0]] == [["<1", "ms"], "0"]
