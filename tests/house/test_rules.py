"""Rules that matter: imports, budgets, unfinished work, error codes, transition tables."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from roost_server.api.errors import BY_CODE
from roost_server.domain import canary, errors, image, replica, runtime

ROOT = Path(__file__).resolve().parents[2]
FILE_LINES = 500
FUNCTION_LINES = 40
"""Of a body, its docstring not counted."""


def sources() -> list[Path]:
    folders = ("client/src", "server/src", "agent/src", "bench", "docs", "tests", "examples")
    found = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return sorted(path for path in found if "migrations" not in path.parts)


def run(*words: str) -> None:
    command = Path(sys.executable).parent / words[0]
    done = subprocess.run([command, *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_rooms_import_only_downward() -> None:
    run("lint-imports")


def test_the_code_is_linted_and_formatted() -> None:
    run("ruff", "check")
    run("ruff", "format", "--check")


@pytest.mark.slow
def test_the_types_hold() -> None:
    run("mypy")


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= FILE_LINES, f"{path} has more than {FILE_LINES} lines: split it by noun"
    for name, line, length in functions(ast.parse(text)):
        assert length <= FUNCTION_LINES, (
            f"{path}:{line} {name} has {length} lines: decide in a pure function, act elsewhere"
        )


def functions(tree: ast.Module) -> Iterator[tuple[str, int, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
            yield node.name, node.lineno, (node.end_lineno or 0) - body[0].lineno + 1


def test_nothing_is_marked_as_unfinished() -> None:
    marks = re.compile("TO" + "DO|FIX" + "ME|Not" + "ImplementedError")
    found = [str(path.relative_to(ROOT)) for path in sources() if marks.search(path.read_text())]
    assert found == []


def tree_of(base: type[errors.RoostError]) -> Iterator[type[errors.RoostError]]:
    for child in base.__subclasses__():
        yield child
        yield from tree_of(child)


def test_every_error_of_the_tree_has_a_documented_status_and_a_type_of_its_own() -> None:
    classes = [one for one in tree_of(errors.RoostError) if one.__module__ == errors.__name__]
    assert {one.code for one in classes} == set(BY_CODE)
    assert len({one.type for one in classes}) == len(classes)


@pytest.mark.parametrize(
    "table",
    [runtime.ALLOWED, replica.ALLOWED, image.ALLOWED, canary.ALLOWED],
    ids=["runtime", "replica", "image", "canary"],
)
def test_a_transition_table_names_every_status_and_reaches_it(table: dict) -> None:  # type: ignore[type-arg]
    statuses = list(type(next(iter(table))))
    assert set(table) == set(statuses)
    reached = {statuses[0]}
    while (grown := reached.union(*(table[status] for status in reached))) != reached:
        reached = grown
    assert reached == set(statuses)
