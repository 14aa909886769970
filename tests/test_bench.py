"""The benchmark's arithmetic and its command line; the measurements themselves are run by hand."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def report(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from bench import report

    return report


def test_a_row_tells_median_p95_and_ratio(report):
    row = report.Row("exec", "ms", {"roost": [float(n) for n in range(1, 21)], "docker": [21.0] * 20})
    assert (row.median("roost"), row.p95("roost"), row.ratio()) == (10.5, 19.0, 0.5)
    told = report.as_json([row])[0]
    assert told["roost"] == {"median": 10.5, "p95": 19.0}
    assert (told["n"], told["ratio"]) == (20, 0.5)


def test_one_side_alone_has_no_ratio(report):
    row = report.Row("exec", "ms", {"roost": [1.0]})
    assert row.ratio() is None
    assert "roost median" in report.as_table([row])


def test_the_command_explains_itself():
    command = [sys.executable, "-m", "bench", "--help"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "--no-docker" in told
