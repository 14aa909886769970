"""The two shapes of a command, a single one and a group, and how their help reads."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

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


class Commands(Mapping[str, Any]):
    """Name → command, made at the first look."""

    def __init__(self, entries: tuple[Entry, ...], make: Callable[[Entry], Any]) -> None:
        self.entries = {entry.name: entry for entry in entries}
        self._make = make
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = self._make(self.entries[name])
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


class Command(TyperCommand):
    def get_params(self, ctx: Any) -> list[Any]:
        return startup.take_texts_as_they_are(super().get_params(ctx))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return [piece.replace("{", "").replace("}", "") for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        _write_parameters(self.get_params(ctx), ctx, formatter)


class Group(TyperGroup):
    """Its help lists the commands by section."""

    def holding(self, commands: Commands) -> Self:
        self.commands = commands  # type: ignore[assignment]
        return self

    def get_params(self, ctx: Any) -> list[Any]:
        return startup.take_texts_as_they_are(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args or ["--help"])

    def format_options(self, ctx: Any, formatter: Any) -> None:
        _write_parameters(self.get_params(ctx), ctx, formatter)
        self.format_commands(ctx, formatter)

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


def _write_parameters(params: list[Any], ctx: Any, formatter: Any) -> None:
    """Arguments and options; an argument's type is left out where typer would show it."""
    for kind, title in (("argument", "Arguments"), ("option", "Options")):
        records = [(param, param.get_help_record(ctx)) for param in params if param.param_type_name == kind]
        rows = [(record[0].split(" <")[0], record[1]) for _, record in records if record]
        if rows:
            with formatter.section(title):
                formatter.write_dl(rows)
