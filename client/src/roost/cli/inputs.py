"""What people type, as values: KEY=VALUE pairs, sizes, files, passwords. Bad input is a usage error."""

import getpass
import json
import os
import re
import shlex
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import typer

from roost import logs
from roost.errors import RoostError

_DURATION = re.compile(r"(\d{1,9})([smhd])")
_MEMORY = re.compile(r"(\d+)(m|mb|mib|g|gb|gib)?", re.IGNORECASE)


def pairs(given: Sequence[str], option: str) -> dict[str, str]:
    """KEY=VALUE texts as a mapping."""
    for one in given:
        if "=" not in one.lstrip("="):
            raise typer.BadParameter(f'write "{one}" as KEY=VALUE', param_hint=option)
    return dict(one.split("=", 1) for one in given)


def environment(given: Sequence[str], files: Sequence[Path]) -> dict[str, str]:
    """Variables from files, then options. A bare KEY takes its value from here; of a file it is left out where it has
    none, as an option it is wrong."""
    for one in given:
        if one and "=" not in one and one not in os.environ:
            message = f"{one} is not set here, so there is no value to take; write {one}=VALUE"
            raise typer.BadParameter(message, param_hint=f"--env {one}")
    lines = [line.strip() for file in files for line in text_of(file, "--env-file").splitlines()]
    told = [line for line in lines if line and not line.startswith("#")] + list(given)
    bare = {one: os.environ[one] for one in told if "=" not in one and one in os.environ}
    return {**bare, **pairs([one for one in told if "=" in one], "--env")}


def words(given: str | None, option: str) -> list[str] | None:
    """A text as a shell would take it apart."""
    try:
        return shlex.split(given) if given else None
    except ValueError as error:
        raise typer.BadParameter(f"cannot read {given}: {str(error).lower()}", param_hint=option) from error


def memory(given: str | None) -> int | None:
    """MiB; "2g" is 2048."""
    if given is None:
        return None
    matched = _MEMORY.fullmatch(given)
    if not matched:
        raise typer.BadParameter(f'write "{given}" as MiB, such as 512 or 2g', param_hint="--memory")
    return int(matched[1]) * (1024 if (matched[2] or "m").lower().startswith("g") else 1)


def seconds(given: str, option: str) -> int:
    """ "90s", "12h", "30d" as seconds."""
    matched = _DURATION.fullmatch(given)
    if not matched:
        raise typer.BadParameter(f'write "{given}" like 90s, 15m, 12h or 30d', param_hint=option)
    return int(matched[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[matched[2]]


def text_of(file: Path, option: str) -> str:
    """A file's text; `-` is standard input."""
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        cause = getattr(error, "strerror", None) or "it is not text"
        raise typer.BadParameter(f"cannot read {file}: {cause}", param_hint=option) from error


def json_of(file: Path, option: str) -> dict[str, Any]:
    """A file's JSON object; `-` is standard input."""
    try:
        read = json.loads(text_of(file, option))
    except ValueError as error:
        raise typer.BadParameter(f"cannot read {file} as JSON: {error}", param_hint=option) from error
    if not isinstance(read, dict):
        raise typer.BadParameter(f"{file} must hold a JSON object", param_hint=option)
    return read


def password(username: str | None, from_stdin: bool, option: str = "--registry-password-stdin") -> str | None:
    """The password that belongs to a user name: from standard input, or asked for on a terminal."""
    if username is None:
        if from_stdin:
            raise typer.BadParameter("give --registry-username too", param_hint=option)
        return None
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise typer.BadParameter("pipe the password in with this option", param_hint=option)
    return getpass.getpass(f"Password of {username}: ", sys.stderr)


def moment(given: str, option: str) -> datetime:
    """A time, or a duration ago."""
    try:
        return logs.moment(given)
    except RoostError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
