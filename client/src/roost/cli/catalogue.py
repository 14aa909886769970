"""Every command: where it is, under which names it is found, and how its docstring becomes help.

A command is imported and made when it is used; only help makes all of them. The short commands (`roost ps`) and the
grouped ones (`roost runtime list`) are the same functions.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from inspect import cleandoc
from typing import Any, Self

import typer
from typer.core import TyperCommand, TyperGroup

from roost.cli import startup


@dataclass(frozen=True)
class Entry:
    """`function` as "module:name"; a noun has `entries` and a sentence instead."""

    name: str
    function: str = ""
    section: str = "Commands"
    hidden: bool = False
    sentence: str = ""
    entries: tuple["Entry", ...] = ()


RUNTIME = (
    Entry("create", "runtime:create"),
    Entry("list", "runtime:list_"),
    Entry("get", "runtime:get"),
    Entry("start", "runtime:start"),
    Entry("stop", "runtime:stop"),
    Entry("delete", "runtime:delete"),
    Entry("exec", "exec:exec_"),
    Entry("call", "call:call"),
    Entry("logs", "log:logs"),
    Entry("events", "event:events"),
    Entry("versions", "version:versions"),
    Entry("ls", "runtime:list_", hidden=True),
    Entry("rm", "runtime:delete", hidden=True),
)
IMAGE = (
    Entry("build", "image:build"),
    Entry("ls", "image:list_"),
    Entry("get", "image:get"),
    Entry("pull", "image:pull"),
    Entry("push", "image:push"),
    Entry("load", "image:load"),
    Entry("rm", "image:delete"),
    Entry("list", "image:list_", hidden=True),
    Entry("delete", "image:delete", hidden=True),
)
CONFIG = (Entry("get", "config:get"), Entry("set", "config:set_"))
RUN, LOOK, MORE = "Run agents", "Work with a runtime", "More"
TOP = (
    Entry("run", "runtime:create", RUN),
    Entry("ps", "runtime:list_", RUN),
    Entry("boot", "runtime:start", RUN),
    Entry("shutdown", "runtime:stop", RUN),
    Entry("rm", "runtime:delete", RUN),
    Entry("call", "call:call", LOOK),
    Entry("exec", "exec:exec_", LOOK),
    Entry("logs", "log:logs", LOOK),
    Entry("inspect", "runtime:get", LOOK),
    Entry("events", "event:events", LOOK),
    Entry("versions", "version:versions", LOOK),
    Entry("config", section=LOOK, sentence="Read or change a runtime's configuration.", entries=CONFIG),
    Entry("image", section=MORE, sentence="Build, fetch and keep images.", entries=IMAGE),
    Entry("runtime", section=MORE, sentence="The same commands under their full names.", entries=RUNTIME),
    Entry("login", "login:login", MORE),
    Entry("completion", "completion:completion", MORE),
    Entry("version", "login:version", MORE),
)


class Commands(Mapping[str, Any]):
    """Name → command, made at the first look."""

    def __init__(self, entries: tuple[Entry, ...]) -> None:
        self.entries = {entry.name: entry for entry in entries}
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = _make(self.entries[name])
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


class Sections(TyperGroup):
    """A group whose help lists its commands by section."""

    def holding(self, entries: tuple[Entry, ...]) -> Self:
        self.commands = Commands(entries)  # type: ignore[assignment]
        return self

    def get_params(self, ctx: Any) -> list[Any]:
        return startup.take_texts_as_they_are(super().get_params(ctx))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        shown = [entry for entry in self.commands.entries.values() if not entry.hidden]  # type: ignore[attr-defined]
        width = max(len(entry.name) for entry in shown)
        for section in dict.fromkeys(entry.section for entry in shown):
            rows = [
                (entry.name.ljust(width), self.commands[entry.name].get_short_help_str(90))
                for entry in shown
                if entry.section == section
            ]
            with formatter.section(section):
                formatter.write_dl(rows)


class Command(TyperCommand):
    """A command of this catalogue."""

    def get_params(self, ctx: Any) -> list[Any]:
        return startup.take_texts_as_they_are(super().get_params(ctx))


def _make(entry: Entry) -> Any:
    return _noun(entry) if entry.entries else _command(entry)


def _noun(entry: Entry) -> Sections:
    app = typer.Typer(cls=Sections, add_completion=False, rich_markup_mode=None, no_args_is_help=True)
    app.callback(help=entry.sentence)(lambda: None)
    group = typer.main.get_group(app)
    assert isinstance(group, Sections)
    group.name = entry.name
    return group.holding(entry.entries)


def _command(entry: Entry) -> Any:
    module, name = entry.function.split(":")
    function = getattr(import_module(f"roost.cli.{module}"), name)
    text, examples = split_doc(function.__doc__ or "", entry.name)
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    options: dict[str, Any] = {"cls": getattr(function, "command_class", Command), "hidden": entry.hidden}
    app.command(entry.name, help=text, epilog=examples, **options)(function)
    return typer.main.get_command(app)


def split_doc(doc: str, name: str) -> tuple[str, str]:
    """A docstring's sentences, and its indented lines as examples; `{}` in them is the command's name."""
    lines = cleandoc(doc).split("\n")
    text = [line for line in lines if not line.startswith("    ")]
    examples = [line[4:].replace("{}", name, 1) for line in lines if line.startswith("    ")]
    return "\n".join(text).strip(), "\n".join(["\b", "Examples:", *(f"  {one}" for one in examples)])
