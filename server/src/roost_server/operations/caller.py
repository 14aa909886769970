"""Caller: who asks, for which workspace, and how a token becomes one."""

import hashlib
from dataclasses import dataclass

from roost_server.domain import errors
from roost_server.store import workspaces
from roost_server.store.store import Store
from roost_server.store.workspaces import Workspace


@dataclass(frozen=True)
class Caller:
    """`key` and `fingerprint` are those of an idempotent request; None when the caller sent no key. `role` is the
    token's."""

    workspace: Workspace
    actor: str
    request_id: str
    key: str | None = None
    fingerprint: str = ""
    role: str = "member"

    @property
    def workspace_id(self) -> str:
        return self.workspace.id

    @property
    def is_admin(self) -> bool:
        """Whether they may change what belongs to the whole installation."""
        return self.role in ("root", "admin")


def hash_token(token: str) -> str:
    """Tokens have full entropy, so one round of SHA-256 keeps them safe at rest."""
    return hashlib.sha256(token.encode()).hexdigest()


async def authenticate(store: Store, token: str | None, organization: str, workspace: str, request_id: str) -> Caller:
    """Who holds this token, in this workspace. Raises `Unauthenticated`; `NotFound` for a workspace not theirs."""
    if not token:
        raise errors.Unauthenticated("cannot authenticate: send a token as `Authorization: Bearer <token>`")
    async with store.read() as tx:
        found = await workspaces.find_token(tx, hash_token(token))
        place = await workspaces.find(tx, organization, workspace)
    if found is None:
        raise errors.Unauthenticated("cannot authenticate: this token is not known here")
    if place is None or found.workspace_id not in (None, place.id):
        raise errors.NotFound(f'cannot find workspace "{workspace}" of organization "{organization}"')
    return Caller(place, found.name, request_id, role=found.role)
