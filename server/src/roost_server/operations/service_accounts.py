"""What callers may do with the service account of a runtime: look at it, and have its secret replaced."""

from dataclasses import dataclass
from datetime import datetime

from roost_server.domain.runtime import Runtime, Wanted
from roost_server.operations import runtimes, versions
from roost_server.operations.caller import Caller
from roost_server.operations.context import Context
from roost_server.operations.finding import find, record, refuse_when_deleting
from roost_server.store import chores, events, leases, service_accounts, tables
from roost_server.store.store import Tx


@dataclass(frozen=True)
class ServiceAccountView:
    """Never the secret: only replicas are given that."""

    runtime_id: str
    client_id: str
    agent_identity: str
    created_at: datetime
    updated_at: datetime


async def get(context: Context, caller: Caller, runtime_name: str) -> ServiceAccountView:
    """Raises `NotFound`."""
    async with context.store.read() as tx:
        runtime = await find(tx, caller, runtime_name)
        if await service_accounts.get(tx, runtime.id) is not None:
            return await _view(context, tx, runtime)
    async with context.store.write() as tx:
        return await _view(context, tx, await find(tx, caller, runtime_name, to_change=True))


async def reset(context: Context, caller: Caller, runtime_name: str) -> ServiceAccountView:
    """Another secret; the one before, and every access token given for it, stops working at once. Replicas are
    replaced by new ones without downtime. Again is another reset: the last one's secret is the good one."""
    async with context.store.write() as tx:
        runtime = await find(tx, caller, runtime_name, to_change=True)
        refuse_when_deleting(runtime)
        await service_accounts.ensure(tx, runtime.id, context.cipher)
        await service_accounts.reset(tx, runtime.id, context.cipher)
        await events.record(tx, runtime.id, "service_account.reset", "the service account has a new secret")
        if runtime.wanted == Wanted.RUNNING:
            await versions.mark_updating(tx, runtime)
            await runtimes.renew(tx, runtime)
        await record(tx, caller, runtime, "service_account.reset")
        await leases.wake(tx, tables.runtimes, runtime.id)
        await chores.publish_routes(tx)
        return await _view(context, tx, runtime)


async def _view(context: Context, tx: Tx, runtime: Runtime) -> ServiceAccountView:
    account = await service_accounts.ensure(tx, runtime.id, context.cipher)
    return ServiceAccountView(runtime.id, account.client_id, runtime.name, account.created_at, account.updated_at)
