"""Identities: what a replica that is about to be made is told about who it is."""

from roost_server.domain.runtime import Runtime
from roost_server.reconcilers.loop import held
from roost_server.reconcilers.spec import Identity
from roost_server.store import service_accounts, workspaces
from roost_server.store.cipher import Cipher
from roost_server.store.leases import Lease
from roost_server.store.store import Store, Tx


async def of(store: Store, lease: Lease, runtime: Runtime, cipher: Cipher) -> Identity:
    """As it is now. A runtime of before there were service accounts is given one."""
    async with store.read() as tx:
        found = await _read(tx, runtime, cipher)
    if found is not None:
        return found
    async with held(store, lease) as tx:
        await service_accounts.ensure(tx, runtime.id, cipher)
        found = await _read(tx, runtime, cipher)
    assert found is not None
    return found


async def _read(tx: Tx, runtime: Runtime, cipher: Cipher) -> Identity | None:
    secret = await service_accounts.secret_of(tx, runtime.id, cipher)
    place = await workspaces.get(tx, runtime.workspace_id)
    return Identity(secret, place.organization_slug, place.slug) if secret and place else None
