"""How many replicas there should be, as a table."""

from datetime import UTC, datetime, timedelta

import pytest
from roost_server.domain import autoscaling
from roost_server.domain.autoscaling import Clock, Standing, Use
from roost_server.domain.config import Autoscaling

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SCALING = Autoscaling(min_replicas=1, max_replicas=5, cpu_utilization=50, memory_utilization=50)
WINDOW = 120.0


def uses(*cpu: float | None, memory: float = 0.0) -> list[Use | None]:
    return [None if one is None else Use(one, memory) for one in cpu]


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("seen", "current", "wanted"),
    [
        pytest.param(uses(50), 1, 1, id="at its target"),
        pytest.param(uses(54), 1, 1, id="within the tolerance"),
        pytest.param(uses(56), 1, 2, id="above the tolerance"),
        pytest.param(uses(92), 1, 2, id="nearly twice its target"),
        pytest.param(uses(101), 1, 3, id="rounded up"),
        pytest.param(uses(100, 100), 2, 4, id="two at twice the target"),
        pytest.param(uses(100, 100, 100), 3, 5, id="never more than the most"),
        pytest.param(uses(10, memory=80), 1, 2, id="memory alone"),
        pytest.param(uses(100, memory=120), 1, 3, id="the larger of both"),
        pytest.param(uses(130, None), 2, 3, id="one without a sample counts as idle"),
        pytest.param(uses(92, None, None), 3, 3, id="those that start are enough"),
        pytest.param(uses(80, None), 2, 2, id="idle ones turn it round: no change"),
        pytest.param([None], 1, 1, id="nothing known"),
        pytest.param(uses(55, 20), 2, 2, id="the mean counts, not the busiest"),
    ],
)
def test_more_replicas_come_at_once(seen: list[Use | None], current: int, wanted: int) -> None:
    decision = autoscaling.decide(SCALING, seen, Standing(current), Clock(NOW, WINDOW))
    assert decision.standing == Standing(wanted)


@pytest.mark.parametrize(
    ("seen", "before", "after"),
    [
        pytest.param(uses(5, 5, 5), Standing(3), Standing(3, NOW, 1), id="the wait begins"),
        pytest.param(uses(5, 5, 5), Standing(3, ago(60), 2), Standing(3, ago(60), 2), id="it goes on"),
        pytest.param(uses(30, 30, 30), Standing(3, ago(60), 1), Standing(3, ago(60), 2), id="the most is remembered"),
        pytest.param(uses(50, 50, 50), Standing(3, ago(119), 1), Standing(3), id="all were needed: it ends"),
        pytest.param(uses(5, 5, 5), Standing(3, ago(120), 1), Standing(1), id="to what did in all that time"),
        pytest.param(uses(5, 5, 5), Standing(3, ago(120), 2), Standing(2, NOW, 1), id="to the most of that time"),
        pytest.param(uses(90, 90, 90), Standing(3, ago(60), 1), Standing(5), id="more are needed meanwhile"),
        pytest.param(uses(5, None), Standing(2, ago(200), 1), Standing(2), id="no sample: as if fully used"),
        pytest.param(uses(5, 5, 5, None), Standing(4), Standing(4, NOW, 3), id="no sample: fewer, carefully"),
        pytest.param([None, None], Standing(2, ago(60), 1), Standing(2, ago(60), 1), id="nothing known, nothing done"),
        pytest.param(uses(5, 5), Standing(1), Standing(1), id="more run than were decided on: theirs to end"),
    ],
)
def test_fewer_replicas_must_have_done_for_a_while(seen: list[Use | None], before: Standing, after: Standing) -> None:
    assert autoscaling.decide(SCALING, seen, before, Clock(NOW, WINDOW)).standing == after


def test_the_least_is_kept() -> None:
    scaling = Autoscaling(min_replicas=2, max_replicas=5)
    assert autoscaling.decide(scaling, uses(0, 0), Standing(2), Clock(NOW, 0)).standing == Standing(2)
    assert autoscaling.decide(scaling, uses(0, 0, 0), Standing(3, NOW, 2), Clock(NOW, 0)).standing == Standing(2)


def test_a_decision_says_why() -> None:
    out = autoscaling.decide(SCALING, uses(92, memory=20), Standing(1), Clock(NOW, WINDOW))
    assert autoscaling.explain(out, SCALING, 3, 1, WINDOW) == (
        "version 3: 1 → 2 replicas: CPU at 92 % of its limit (target 50 %)"
    )
    assert autoscaling.document(out, SCALING, 3, 1) == {
        "version": 3,
        "from": 1,
        "to": 2,
        "cpu_utilization": 92,
        "cpu_target": 50,
        "memory_utilization": 20,
        "memory_target": 50,
        "replicas_measured": 1,
    }
    down = autoscaling.decide(SCALING, uses(4, 6, memory=10), Standing(2, ago(120), 1), Clock(NOW, WINDOW))
    assert autoscaling.explain(down, SCALING, 3, 2, WINDOW) == (
        "version 3: 2 → 1 replica: CPU at 5 % of its limit (target 50 %) and "
        "memory at 10 % of its limit (target 50 %), fewer would have done for 120 s"
    )
