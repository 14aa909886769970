"""What a .dockerignore leaves out, by Docker's rules: they are not .gitignore's.

A pattern is anchored at the context's root and covers all below what it matches; `*` stays within a path component,
`**` crosses them; the last pattern that matches decides; `!` takes back in. The Dockerfile and the ignore file
themselves are always sent. Source: Docker's build reference and moby/patternmatcher.
"""

import posixpath
import re
from dataclasses import dataclass
from pathlib import Path

from roost.errors import RoostError


@dataclass(frozen=True)
class Pattern:
    regex: re.Pattern[str]
    takes_back: bool


class Ignore:
    """Paths are relative to the context, with slashes."""

    def __init__(self, patterns: list[Pattern], always_sent: set[str]) -> None:
        self._patterns = patterns
        self._always_sent = always_sent
        self._takes_any_back = any(pattern.takes_back for pattern in patterns)

    def excludes(self, path: str) -> bool:
        """Whether this very entry is left out."""
        if path in self._always_sent:
            return False
        parts = path.split("/")
        lineage = ["/".join(parts[: end + 1]) for end in range(len(parts))]
        left_out = False
        for pattern in self._patterns:
            if pattern.takes_back == left_out and any(pattern.regex.fullmatch(one) for one in lineage):
                left_out = not left_out
        return left_out

    def may_hold(self, folder: str) -> bool:
        """Whether something in this folder may be sent."""
        wanted = any(path.startswith(f"{folder}/") for path in self._always_sent)
        return wanted or self._takes_any_back or not self.excludes(folder)


def read_ignore(directory: Path, dockerfile: str) -> Ignore:
    """`<dockerfile>.dockerignore` if there is one, else `.dockerignore`. Raises `RoostError` for a bad pattern."""
    dockerfile = posixpath.normpath(dockerfile)
    for name in (f"{dockerfile}.dockerignore", ".dockerignore"):
        if (directory / name).is_file():
            text = (directory / name).read_text(encoding="utf-8-sig")
            return Ignore(parse(text), {dockerfile, name})
    return Ignore([], set())


def parse(text: str) -> list[Pattern]:
    """The patterns of an ignore file, in order."""
    lines = [line.strip() for line in text.splitlines() if not line.startswith("#")]
    return [_pattern(line) for line in lines if line and line != "!"]


def _pattern(line: str) -> Pattern:
    takes_back = line.startswith("!")
    cleaned = posixpath.normpath(line.removeprefix("!").strip()).lstrip("/")
    try:
        return Pattern(re.compile(_regex(cleaned), re.DOTALL), takes_back)
    except re.error as error:
        raise RoostError(f'cannot read the .dockerignore pattern "{line}": {error}') from error


_TOKEN = re.compile(r"\*\*/|\*\*|\*|\?|\\.|\[[^\]]*\]|.", re.DOTALL)


def _regex(pattern: str) -> str:
    return "".join(_translate(token) for token in _TOKEN.findall(pattern))


def _translate(token: str) -> str:
    match token:
        case "**/":
            return "(?:.*/)?"
        case "**":
            return ".*"
        case "*":
            return "[^/]*"
        case "?":
            return "[^/]"
        case _ if token.startswith("[") and len(token) > 1:
            return token
        case _ if token.startswith("\\") and len(token) > 1:
            return re.escape(token[1:])
        case _:
            return re.escape(token)
