"""The `roost-server` command: run the platform, check the host, print the settings, take everything down."""

import os
import sys
import tomllib
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from roost_server import log, settings
from roost_server.domain.errors import RoostError
from roost_server.settings import Settings

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="The Roost platform.")
ConfigFile = Annotated[Path | None, typer.Option("--config", envvar="ROOST_CONFIG", help="A TOML file of settings.")]


def main() -> None:
    app()


def _load(config: Path | None) -> Settings:
    if config is not None and not config.is_file():
        raise _fail(f"cannot read settings from {config}: no such file")
    try:
        return settings.load(config)
    except ValidationError as error:
        lines = [f"  ROOST_{str(one['loc'][0]).upper()}: {one['msg']}" for one in error.errors()]
        raise _fail("cannot use these settings:\n" + "\n".join(lines)) from None


def _fail(message: str) -> typer.Exit:
    typer.echo(f"roost-server: {message}", err=True)
    return typer.Exit(1)


def _run(work: Coroutine[Any, Any, None]) -> None:
    import uvloop

    try:
        uvloop.run(work)
    except RoostError as error:
        raise _fail(error.message + (f"\n{error.detail}" if error.detail else "")) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@app.command()
def run(config: ConfigFile = None) -> None:
    """Run the server in the foreground. Stopping it leaves replicas and gateway running."""
    # The server forks only to exec; gRPC's own fork handlers would do nothing but log that they were skipped.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    from roost_server.server import Server, Started

    chosen = _load(config)
    log.configure(chosen.log_format)

    def announce(started: Started) -> None:
        typer.echo(f"Roost serves its API at {started.url}")
        if started.new_token is not None:
            typer.echo(f"Admin token (shown once): {started.new_token}")
            typer.echo(_keep_token(started.url, started.new_token))
        sys.stdout.flush()

    _run(Server(chosen).run(announce))


def _keep_token(url: str, token: str) -> str:
    """Write url and token where the `roost` command of this user looks, unless it knows another server already."""
    folder = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "roost"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / "config.toml"
    if path.exists() and _url_in(path) != url:
        return f"{path} names another server and is left alone; `roost login` replaces it"
    written = path.with_suffix(".new")
    written.unlink(missing_ok=True)
    with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f'url = "{url}"\ntoken = "{token}"\n')
    written.replace(path)
    return f"The roost command finds it in {path}"


def _url_in(path: Path) -> object:
    """Of an earlier installation at this url, the token is worth nothing any more."""
    try:
        return tomllib.loads(path.read_text()).get("url")
    except ValueError:
        return None


@app.command()
def doctor(config: ConfigFile = None) -> None:
    """Check this host and say what to fix. Exits 1 when something would keep Roost from working."""
    from roost_server import parts
    from roost_server.engines.oci.doctor import check

    findings = check(parts.oci_settings(_load(config)))
    for finding in findings:
        typer.echo(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.name}: {finding.message}")
        if not finding.ok:
            typer.echo(f"      fix: {finding.fix}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


@app.command("settings")
def print_settings(config: ConfigFile = None) -> None:
    """Print every setting: its variable, its value now, its default and what it means."""
    chosen = _load(config)
    for name, field in Settings.model_fields.items():
        value = getattr(chosen, name)
        shown = "(set)" if name == "admin_token" and value else value
        typer.echo(f"ROOST_{name.upper()} = {shown}  (default {field.default})\n    {field.description}")


@app.command()
def down(config: ConfigFile = None) -> None:
    """Stop the gateway and every replica of this installation. Nothing that is kept is lost; `run` brings it back."""
    chosen = _load(config)
    log.configure(chosen.log_format)
    _run(_down(chosen))


async def _down(chosen: Settings) -> None:
    from roost_server import parts
    from roost_server.server import sole_owner

    with sole_owner(chosen.data_dir, "take everything down"):
        gateway = parts.build_gateway(chosen)
        await gateway.close(stop_traffic=True)
        engine, _ = parts.build_engine(chosen)
        await parts.destroy(engine)
    typer.echo("stopped the gateway and all replicas")


if __name__ == "__main__":
    main()
