"""Service accounts: show, reset."""

import typer

from roost.cli import output, progress, session
from roost.cli.options import Json, Name, NoWait, Timeout
from roost.models import ServiceAccount


def show(ctx: typer.Context, name: Name, json: Json = False) -> None:
    """Show the service account of a runtime. Its secret is in the environment of its replicas, and nowhere else.

    roost {} hello
    """
    with session.client(ctx) as client:
        account = client.runtimes.get(name).service_account()
    output.emit(account) if json else _show(account)


def reset(ctx: typer.Context, name: Name, no_wait: NoWait = False, timeout: Timeout = 240, json: Json = False) -> None:
    """Replace the secret of a runtime's service account.

    The one before, and the access tokens it was given, stop working at once; replicas are replaced by new ones without
    downtime.

    roost {} hello
    """
    with session.client(ctx) as client:
        runtime = client.runtimes.get(name)
        with progress.of_runtime(runtime.name, json or no_wait, "replacing replicas") as on_change:
            account = runtime.reset_service_account(wait=not no_wait, timeout=timeout, on_change=on_change)
    if json:
        output.emit(account)
        return
    print(f"{runtime.name} has a new secret and is {output.status(runtime.status)}")


def _show(account: ServiceAccount) -> None:
    output.pairs(
        [
            ("client id", account.client_id),
            ("agent identity", account.agent_identity),
            ("token url", account.token_url),
            ("created", output.stamp(account.created_at)),
            ("secret of", f"{output.stamp(account.updated_at)} ({output.age(account.updated_at)} ago)"),
        ]
    )
