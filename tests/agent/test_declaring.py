"""Mistakes in an agent's own code are told when it starts, not when it is called."""

import subprocess
import sys

import pytest
import roost_agent
from roost_agent import App


@pytest.mark.parametrize("handler", [lambda: None, lambda a, b, c: None])
def test_a_handler_with_other_parameters_is_refused(handler):
    with pytest.raises(TypeError, match=r"must take \(payload\) or \(payload, context\)"):
        App().entrypoint(handler)


def test_an_unknown_requirement_is_refused():
    with pytest.raises(ValueError, match=r'cannot require "tenant"'):
        App().entrypoint(requires=("tenant",))(lambda payload: None)


def test_there_is_no_current_request_outside_of_one():
    with pytest.raises(RuntimeError, match="no invocation is running"):
        roost_agent.current()


def test_a_background_task_cannot_start_before_the_app():
    with pytest.raises(RuntimeError, match='cannot start "work"'):
        App().background_task(work)()


def work():
    pass


def test_importing_the_library_loads_no_framework():
    """An agent must answer `/health` soon after its process starts."""
    program = "import sys, roost_agent; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"starlette", "fastapi", "pydantic", "httpx", "anyio"} & set(loaded)
