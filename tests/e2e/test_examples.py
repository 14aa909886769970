"""The examples, by the lines of their READMEs: each command is run, and each output shown is what comes."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.installation import Installation

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
TEN_MINUTES = "625"
"""As commands tell it, and for most of a minute to come."""
EXAMPLES = ("hello-agent", "fastapi-agent", "node-agent")


def commands(readme: Path) -> Iterator[tuple[str, str]]:
    """The commands of a README's console blocks, each with the output that is shown below it."""
    for block in re.findall(r"```console\n(.*?)```", readme.read_text(), re.DOTALL):
        for command in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, output = command.partition("\n")
            yield line, output.strip()


def run(roost: Installation, command: str) -> "subprocess.CompletedProcess[str]":
    """As a user types it, in the repository."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = roost.env | {"PATH": programs, "ROOST_URL": roost.url, "ROOST_TOKEN": roost.env["ROOST_ADMIN_TOKEN"]}
    return subprocess.run(["sh", "-c", command], cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=600)


def matches(shown: str, came: str) -> bool:
    """Whether the output is as shown, where an ellipsis stands for anything."""
    return re.fullmatch(re.escape(shown).replace("…", ".*"), came.strip(), re.DOTALL) is not None


def follow(roost: Installation, page: Path) -> list[tuple[str, str]]:
    """Run all commands of a page, each of which must do as shown; what was shown."""
    shown = list(commands(page))
    assert len(shown) >= 3
    for command, output in shown:
        done = run(roost, command)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        assert not output or matches(output, done.stdout), f"{command}\nshown: {output}\ncame: {done.stdout}"
    return shown


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_examples_readme_is_true(shared: Installation, example: str) -> None:
    shown = follow(shared, REPOSITORY / "examples" / example / "README.md")
    for runtime in shared.client.runtimes.list():
        if any(f"--name {runtime.name} " in command for command, _ in shown):
            runtime.delete()


@pytest.mark.parametrize("page", ["updates.md", "endpoints.md", "observe.md"])
def test_a_page_about_versions_is_true(own: Callable[..., Installation], page: str) -> None:
    roost = own(rollback_seconds=TEN_MINUTES)
    roost.start()
    follow(roost, REPOSITORY / "docs" / page)
