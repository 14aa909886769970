"""Key sets: fetch the keys with which others sign their tokens, again and again, and tell the routes when they changed.

Keys that are there stay in use when fetching fails: an issuer that is away for a while locks nobody out.
"""

from dataclasses import dataclass
from typing import Any

from roost_server.domain import errors
from roost_server.reconcilers import issuer
from roost_server.reconcilers.loop import held
from roost_server.store import chores, endpoints, key_sets
from roost_server.store.key_sets import KeySet
from roost_server.store.leases import Lease
from roost_server.store.store import Store


@dataclass(frozen=True)
class KeySetsReconciler:
    """Gives in how many seconds to fetch again; raises `Unavailable` when it failed, so that the loop backs off."""

    store: Store

    async def __call__(self, lease: Lease) -> float | None:
        async with self.store.read() as tx:
            known = await key_sets.get(tx, lease.row_id)
        if known is None:
            return None
        try:
            keys, again = await issuer.fetch(known.url)
        except errors.Unavailable as error:
            async with held(self.store, lease) as tx:
                await key_sets.set_message(tx, known.id, error.message)
            raise
        await self._keep(lease, known, keys)
        return again

    async def _keep(self, lease: Lease, known: KeySet, keys: dict[str, Any]) -> None:
        async with held(self.store, lease) as tx:
            if await key_sets.set_keys(tx, known, keys):
                await endpoints.touch(tx, known.url)
                await chores.publish_routes(tx)
