"""Organizations, their workspaces, and the tokens that give access to them."""

from dataclasses import dataclass

import sqlalchemy as sa

from roost_server.domain.ids import new_id
from roost_server.store.leases import now
from roost_server.store.store import Tx
from roost_server.store.tables import organizations, tokens, workspaces

_SETUP = 0x526F6F7375
"""PostgreSQL's advisory lock under which an installation is set up."""


@dataclass(frozen=True)
class Workspace:
    id: str
    slug: str
    organization_slug: str


@dataclass(frozen=True)
class Token:
    """`workspace_id` None means every workspace."""

    id: str
    name: str
    role: str
    workspace_id: str | None


_WITH_ORGANIZATION = sa.select(
    workspaces.c.id, workspaces.c.slug, organizations.c.slug.label("organization_slug")
).join_from(workspaces, organizations)


_BY_SLUG = _WITH_ORGANIZATION.where(
    organizations.c.slug == sa.bindparam("organization"), workspaces.c.slug == sa.bindparam("slug")
)
_BY_HASH = sa.select(tokens.c.id, tokens.c.name, tokens.c.role, tokens.c.workspace_id).where(
    tokens.c.hash == sa.bindparam("hashed")
)


async def get(tx: Tx, workspace_id: str) -> Workspace | None:
    row = await tx.first(_WITH_ORGANIZATION.where(workspaces.c.id == workspace_id))
    return Workspace(**row) if row else None


async def find(tx: Tx, organization: str, slug: str) -> Workspace | None:
    row = await tx.first(_BY_SLUG, organization=organization, slug=slug)
    return Workspace(**row) if row else None


async def take_first_turn(tx: Tx) -> None:
    """Of servers that start at once, let one at a time look for what is missing. SQLite has one writer anyway."""
    if not tx.is_sqlite:
        await tx.first(sa.select(sa.func.pg_advisory_xact_lock(_SETUP)))


async def take_turn(tx: Tx, workspace_id: str) -> None:
    """Let nobody else create things in this workspace until the end of the transaction: what is looked for and not
    found stays absent. SQLite has one writer anyway."""
    await tx.first(sa.select(workspaces.c.id).where(workspaces.c.id == workspace_id).with_for_update(key_share=True))


async def create(tx: Tx, organization: str, slug: str) -> Workspace:
    """A workspace in a new organization."""
    organization_id, workspace_id = new_id(), new_id()
    await tx.run(sa.insert(organizations).values(id=organization_id, slug=organization, created_at=now()))
    await tx.run(
        sa.insert(workspaces).values(id=workspace_id, organization_id=organization_id, slug=slug, created_at=now())
    )
    return Workspace(workspace_id, slug, organization)


async def find_token(tx: Tx, hashed: str) -> Token | None:
    row = await tx.first(_BY_HASH, hashed=hashed)
    return Token(**row) if row else None


async def get_token(tx: Tx, token_id: str) -> Token | None:
    columns = (tokens.c.id, tokens.c.name, tokens.c.role, tokens.c.workspace_id)
    row = await tx.first(sa.select(*columns).where(tokens.c.id == token_id))
    return Token(**row) if row else None


async def set_admin_token(tx: Tx, hashed: str) -> None:
    """Make this the one token named `admin`; an earlier one stops working. The same again changes nothing."""
    await tx.run(sa.delete(tokens).where(tokens.c.name == "admin", tokens.c.hash != hashed))
    if not await has_admin_token(tx):
        await tx.run(sa.insert(tokens).values(id=new_id(), name="admin", hash=hashed, role="root", created_at=now()))


async def has_admin_token(tx: Tx) -> bool:
    return await tx.first(sa.select(tokens.c.id).where(tokens.c.name == "admin")) is not None
