"""What is generated is current, and every command is documented."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from roost.cli import catalogue
from roost.cli.shapes import Commands

from client.installation import Installation

pytestmark = pytest.mark.slow

CLIENT = Path(__file__).parents[2] / "client"


@pytest.mark.parametrize("script", ["make_sync.py", "make_cli_docs.py"])
def test_generated_files_are_current(script: str) -> None:
    ended = subprocess.run(
        [sys.executable, str(CLIENT / "scripts" / script), "--check"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def every(commands: Commands, path: str = "roost") -> list[tuple[str, Any]]:
    found = []
    for name, command in commands.items():
        below = getattr(command, "commands", None)
        found += every(below, f"{path} {name}") if below else [(f"{path} {name}", command)]
    return found


ALL = every(catalogue.everything())


@pytest.mark.parametrize(("path", "command"), ALL, ids=[path for path, _ in ALL])
def test_every_command_has_a_sentence_an_example_and_a_line_for_each_option(path: str, command: Any) -> None:
    assert command.help.endswith(".")
    assert f"{path}" in command.epilog
    for param in command.params:
        assert param.help, f"{path} {param.name}"


def test_every_command_that_answers_something_speaks_json() -> None:
    silent = {path for path, command in ALL if "json" not in {param.name for param in command.params}}
    assert silent == {"roost completion"}


def test_the_page_has_every_command() -> None:
    page = (CLIENT.parent / "docs/cli.md").read_text()
    for path, command in ALL:
        if not command.hidden and not path.startswith("roost runtime"):
            assert f"\n## {path}\n" in page


def test_the_sdk_page_runs(server: Installation, tmp_path: Path) -> None:
    page = (CLIENT.parent / "docs/sdk.md").read_text()
    blocks = re.findall(r"(?<!<!-- needs an agent -->\n)^```python\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) == 11
    (tmp_path / "page.py").write_text("\n".join(blocks))
    command = [sys.executable, str(tmp_path / "page.py")]
    ended = subprocess.run(command, env=server.environ, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
