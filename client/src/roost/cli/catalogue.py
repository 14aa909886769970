"""Every command: where it is, under which names it is found, and how its docstring becomes help.

A command is imported and made when it is used; only help makes all of them. The short commands (`roost ps`) and the
grouped ones (`roost runtime list`) are the same functions.
"""

from functools import partial
from importlib import import_module
from inspect import cleandoc
from typing import Any

import typer

from roost.cli.shapes import Command, Commands, Entry, Group

RUNTIME = (
    Entry("create", "runtime:create"),
    Entry("list", "runtime:list_"),
    Entry("get", "runtime:get"),
    Entry("start", "runtime:start"),
    Entry("stop", "runtime:stop"),
    Entry("restart", "runtime:restart"),
    Entry("deploy", "update:deploy"),
    Entry("rollback", "update:rollback"),
    Entry("scale", "update:scale"),
    Entry("delete", "runtime:delete"),
    Entry("exec", "exec:exec_"),
    Entry("call", "call:call"),
    Entry("logs", "log:logs"),
    Entry("events", "event:events"),
    Entry("top", "top:top"),
    Entry("metrics", "metric:metrics"),
    Entry("versions", "version:versions"),
    Entry("diff", "version:diff"),
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
ENDPOINT_TOKEN = (
    Entry("create", "endpoint_token:create"),
    Entry("list", "endpoint_token:list_"),
    Entry("delete", "endpoint_token:delete"),
    Entry("ls", "endpoint_token:list_", hidden=True),
    Entry("rm", "endpoint_token:delete", hidden=True),
)
ENDPOINT = (
    Entry("list", "endpoint:list_"),
    Entry("get", "endpoint:get"),
    Entry("create", "endpoint:create"),
    Entry("update", "endpoint:update"),
    Entry("start", "endpoint:start"),
    Entry("stop", "endpoint:stop"),
    Entry("delete", "endpoint:delete"),
    Entry("token", sentence="Tokens that open an endpoint of access mode token.", entries=ENDPOINT_TOKEN),
    Entry("ls", "endpoint:list_", hidden=True),
    Entry("rm", "endpoint:delete", hidden=True),
)
CANARY = (
    Entry("start", "canary:start"),
    Entry("show", "canary:show"),
    Entry("list", "canary:list_"),
    Entry("pause", "canary:pause"),
    Entry("resume", "canary:resume"),
    Entry("promote", "canary:promote"),
    Entry("abort", "canary:abort"),
    Entry("retry", "canary:retry"),
    Entry("get", "canary:show", hidden=True),
    Entry("ls", "canary:list_", hidden=True),
)
FLAVOR = (
    Entry("list", "flavor:list_"),
    Entry("create", "flavor:create"),
    Entry("update", "flavor:update"),
    Entry("delete", "flavor:delete"),
    Entry("ls", "flavor:list_", hidden=True),
    Entry("rm", "flavor:delete", hidden=True),
)
SERVICE_ACCOUNT = (Entry("show", "service_account:show"), Entry("reset", "service_account:reset"))
CONFIG = (Entry("get", "config:get"), Entry("set", "config:set_"))
RUN, SERVE, LOOK, MORE = "Run agents", "Update agents", "Work with a runtime", "More"
TOP = (
    Entry("run", "runtime:create", RUN),
    Entry("ps", "runtime:list_", RUN),
    Entry("boot", "runtime:start", RUN),
    Entry("shutdown", "runtime:stop", RUN),
    Entry("restart", "runtime:restart", RUN),
    Entry("rm", "runtime:delete", RUN),
    Entry("deploy", "update:deploy", SERVE),
    Entry("rollback", "update:rollback", SERVE),
    Entry("versions", "version:versions", SERVE),
    Entry("diff", "version:diff", SERVE),
    Entry("scale", "update:scale", SERVE),
    Entry("endpoint", section=SERVE, sentence="URLs of a runtime: what serves them, who may call.", entries=ENDPOINT),
    Entry("canary", section=SERVE, sentence="Give a new version traffic step by step.", entries=CANARY),
    Entry("call", "call:call", LOOK),
    Entry("exec", "exec:exec_", LOOK),
    Entry("logs", "log:logs", LOOK),
    Entry("inspect", "runtime:get", LOOK),
    Entry("events", "event:events", LOOK),
    Entry("top", "top:top", LOOK),
    Entry("metrics", "metric:metrics", LOOK),
    Entry("config", section=LOOK, sentence="Read or change a runtime's configuration.", entries=CONFIG),
    Entry("service-account", section=LOOK, sentence="Who a runtime's replicas are.", entries=SERVICE_ACCOUNT),
    Entry("image", section=MORE, sentence="Build, fetch and keep images.", entries=IMAGE),
    Entry("flavor", section=MORE, sentence="Named sizes of replicas.", entries=FLAVOR),
    Entry("runtime", section=MORE, sentence="The same commands under their full names.", entries=RUNTIME),
    Entry("login", "login:login", MORE),
    Entry("completion", "completion:completion", MORE),
    Entry("version", "login:version", MORE),
)


def everything() -> Commands:
    """All commands under their short names."""
    return Commands(TOP, partial(_make, "roost"))


def _make(above: str, entry: Entry) -> Any:
    return _noun(above, entry) if entry.entries else _command(above, entry)


def _noun(above: str, entry: Entry) -> Group:
    app = typer.Typer(cls=Group, add_completion=False, rich_markup_mode=None)
    app.callback(help=entry.sentence)(lambda: None)
    group = typer.main.get_group(app)
    assert isinstance(group, Group)
    group.name = entry.name
    return group.holding(Commands(entry.entries, partial(_make, f"{above} {entry.name}")))


def _command(above: str, entry: Entry) -> Any:
    module, name = entry.function.split(":")
    function = getattr(import_module(f"roost.cli.{module}"), name)
    text, examples = split_doc(function.__doc__ or "", f"{above} {entry.name}")
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    options: dict[str, Any] = {"cls": getattr(function, "command_class", Command), "hidden": entry.hidden}
    app.command(entry.name, help=text, epilog=examples, **options)(function)
    return typer.main.get_command(app)


def split_doc(doc: str, path: str) -> tuple[str, str]:
    """A docstring's sentences, and its last paragraph as examples; `roost {}` in them is the command's path."""
    *sentences, examples = cleandoc(doc).split("\n\n")
    lines = [line.strip().replace("roost {}", path, 1) for line in examples.split("\n")]
    return "\n\n".join(sentences), "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])
