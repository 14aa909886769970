"""What an installation has from its first start on: an organization, a workspace, the admin token, the key it signs
with, the builtin."""

import secrets

from roost_server.operations import signing, sources
from roost_server.operations.caller import DEFAULT_SLUG, hash_token
from roost_server.operations.context import Context
from roost_server.store import chores, flavors, leases, tables, workspaces

CLAIMED = (
    tables.runtimes,
    tables.replicas,
    tables.images,
    tables.pushes,
    tables.key_sets,
    tables.canaries,
    tables.chores,
)


async def prepare(context: Context, admin_token: str | None, *, owner: str) -> str | None:
    """Make what is missing. The admin token, if it was made now; it is not kept in clear anywhere else.

    What `owner` was working on when it ended, or anybody if it is "", is due at once."""
    for table in CLAIMED:
        async with context.store.write() as tx:
            await leases.end_all(tx, table, owner=owner)
    async with context.store.write() as tx:
        await workspaces.take_first_turn(tx)
        if await workspaces.find(tx, DEFAULT_SLUG, DEFAULT_SLUG) is None:
            await workspaces.create(tx, DEFAULT_SLUG, DEFAULT_SLUG)
        await signing.ensure_key(tx, context.cipher)
        await sources.builtin(tx)
        await flavors.insert_standard(tx)
        await chores.ensure(tx)
        if admin_token is not None:
            await workspaces.set_admin_token(tx, hash_token(admin_token))
            return None
        if await workspaces.has_admin_token(tx):
            return None
        made = f"roost_{secrets.token_urlsafe(32)}"
        await workspaces.set_admin_token(tx, hash_token(made))
        return made
