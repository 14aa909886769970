"""What a Dockerfile builds on: the image names in its FROM lines and `--from=` options. Pure.

Only as much of the language as that needs: comments, continued lines, and the ARGs that stand before the first FROM.
"""

import re

_FROM = re.compile(r"^\s*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?\s*$", re.IGNORECASE)
_ARG = re.compile(r"^\s*ARG\s+([A-Za-z_]\w*)(?:=(.*?))?\s*$", re.IGNORECASE)
_COPIED = re.compile(r"--(?:from|mount=\S*\bfrom)=([^\s,]+)", re.IGNORECASE)
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::?-([^}]*))?\})")


def images_named(text: str, build_args: dict[str, str]) -> dict[str, str]:
    """Image names as written → with variables expanded, in order of appearance; earlier stages are left out."""
    known: dict[str, str] = {}
    stages = {"scratch"}
    named: dict[str, str] = {}
    for line in _lines(text):
        if not named and (arg := _ARG.match(line)):
            known[arg[1]] = build_args.get(arg[1], (arg[2] or "").strip("\"'"))
        found = _FROM.match(line)
        for written in [found[1]] if found else _COPIED.findall(line):
            named[written] = _expanded(written, known)
        if found and found[2]:
            stages.add(found[2].lower())
    return {written: name for written, name in named.items() if name.lower() not in stages and not name.isdigit()}


def _lines(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return re.sub(r"\\[ \t]*\n", " ", "\n".join(lines)).split("\n")


def _expanded(text: str, known: dict[str, str]) -> str:
    return _VARIABLE.sub(lambda found: known.get(found[1] or found[2]) or found[3] or "", text)
