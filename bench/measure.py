"""The measurements. Sides take turns within each, so that noise hits them alike."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from bench import agent, calls
from bench.report import Row
from bench.side import Agent, Side

COMMAND = ["echo", "ready"]
Samples = dict[str, list[float]]
Say = Callable[[str], None]


def boxes(sides: Sequence[Side], rounds: int, say: Say) -> list[Row]:
    """Create to first exec answered; stop and remove. One box at a time, none kept for the next."""
    created: Samples = {side.name: [] for side in sides}
    deleted: Samples = {side.name: [] for side in sides}
    for number in range(rounds + 1):
        say(f"create and delete {number}/{rounds}")
        for side in sides:
            with _timed(created[side.name]):
                box = side.create(f"bench-{number}")
                check(side.exec(box, COMMAND))
            with _timed(deleted[side.name]):
                side.delete(box)
    return [
        Row("create to first exec answered", "ms", _warm(created), goal="at most 120 ms"),
        Row("stop and remove", "ms", _warm(deleted)),
    ]


def execs(sides: Sequence[Side], rounds: int, say: Say) -> list[Row]:
    """One command in a box that runs."""
    samples: Samples = {side.name: [] for side in sides}
    running = {side.name: side.create("bench-exec") for side in sides}
    for number in range(rounds + 1):
        say(f"exec {number}/{rounds}")
        for side in sides:
            with _timed(samples[side.name]):
                check(side.exec(running[side.name], COMMAND))
    for side in sides:
        side.delete(running[side.name])
    return [Row("exec", "ms", _warm(samples), goal="at most 40 ms")]


def traffic(sides: Sequence[Side], rounds: int, seconds: int, say: Say) -> list[Row]:
    """Calls straight to the agent and as a user makes them: the gateway, or Docker's published port."""
    agents = {side.name: side.serve("bench-agent", agent.PROGRAM) for side in sides}
    say("calls")
    rows = [*_latency(agents, rounds), *_throughput(agents, seconds)]
    for side in sides:
        side.delete(agents[side.name].box)
    return rows


def check(output: str) -> None:
    """The command must really have run."""
    if output.strip() != "ready":
        raise RuntimeError(f"cannot measure exec: it answered {output!r}")


def _latency(agents: dict[str, Agent], rounds: int) -> list[Row]:
    direct = {name: calls.latencies(one.direct, rounds) for name, one in agents.items()}
    entry = {name: calls.latencies(one.entry, rounds) for name, one in agents.items()}
    added = {name: [_median(entry[name]) - _median(direct[name])] for name in agents}
    return [
        Row("call, straight to the agent", "ms", direct),
        Row("call, through gateway or published port", "ms", entry),
        Row("added by gateway or published port", "ms", added, goal="at most 1 ms"),
    ]


def _throughput(agents: dict[str, Agent], seconds: int) -> list[Row]:
    direct = {name: [calls.requests_per_second(one.direct, seconds)] for name, one in agents.items()}
    entry = {name: [calls.requests_per_second(one.entry, seconds)] for name, one in agents.items()}
    return [
        Row("requests straight to the agent", "1/s", direct),
        Row("requests through gateway or published port", "1/s", entry, goal="at least 10000/s"),
    ]


@contextmanager
def _timed(samples: list[float]) -> Iterator[None]:
    began = time.perf_counter()
    yield
    samples.append((time.perf_counter() - began) * 1000)


def _warm(samples: Samples) -> Samples:
    """Without each side's first, which pays for what is done once."""
    return {name: values[1:] for name, values in samples.items()}


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
