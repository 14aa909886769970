"""Generates the blocking client from the one with `await`: `roost/aio/X.py` becomes `roost/X.py`.

    python client/scripts/make_sync.py           write the files
    python client/scripts/make_sync.py --check   exit 1 when a file is not current

Only words are replaced, so the files keep their order and docstrings; ruff sets the line breaks anew.
"""

import re
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src/roost/aio"
BY_HAND = ("__init__.py", "effects.py")
HEADER = "# Generated from aio/{name} by client/scripts/make_sync.py; change that file instead.\n"

WORDS = [
    (r"\basync (def|for|with)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\bAsync(?=[A-Z])", ""),
    (r"\basynccontextmanager\b", "contextmanager"),
    (r"\b__a(enter|exit)__\b", r"__\1__"),
    (r"\baclose\b", "close"),
    (r"\baread\b", "read"),
    (r"\baiter_", "iter_"),
    (r"\broost\.aio\b", "roost"),
]


def main() -> int:
    stale = [path for path, text in generate().items() if not path.is_file() or path.read_text() != text]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path} is not current; run client/scripts/make_sync.py")
        return 1 if stale else 0
    for path, text in generate().items():
        path.write_text(text)
    return 0


def generate() -> dict[Path, str]:
    """Every generated file's path and what should be in it."""
    sources = [path for path in sorted(SOURCE.glob("*.py")) if path.name not in BY_HAND]
    return {SOURCE.parent / path.name: _to_sync(path) for path in sources}


def _to_sync(path: Path) -> str:
    text = path.read_text()
    for pattern, replacement in WORDS:
        text = re.sub(pattern, replacement, text)
    return _ruff(path, "format", _ruff(path, "check", HEADER.format(name=path.name) + text))


def _ruff(path: Path, verb: str, text: str) -> str:
    """Sorted imports and line breaks as in the rest of the code."""
    options = ["--select", "I", "--fix-only", "--quiet"] if verb == "check" else ["--quiet"]
    name = str(SOURCE.parent / path.name)
    command = [sys.executable, "-m", "ruff", verb, *options, "--stdin-filename", name, "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main())
