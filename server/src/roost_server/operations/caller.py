"""Caller: who asks, for which workspace, and how a token becomes one."""

import hashlib
from dataclasses import dataclass

from roost_server.domain import errors
from roost_server.store import workspaces
from roost_server.store.store import Store, Tx
from roost_server.store.workspaces import Token, Workspace

DEFAULT_SLUG = "default"
"""Of the organization and the workspace that a fresh installation has."""


@dataclass(frozen=True)
class Caller:
    """`key` and `fingerprint` are those of an idempotent request; None when the caller sent no key."""

    workspace: Workspace
    actor: str
    request_id: str
    key: str | None = None
    fingerprint: str = ""

    @property
    def workspace_id(self) -> str:
        return self.workspace.id


def hash_token(token: str) -> str:
    """Tokens have full entropy, so one round of SHA-256 keeps them safe at rest."""
    return hashlib.sha256(token.encode()).hexdigest()


async def authenticate(store: Store, token: str | None, organization: str, workspace: str, request_id: str) -> Caller:
    """Who holds this token, in this workspace. Raises `Unauthenticated`; `NotFound` for a workspace not theirs."""
    async with store.read() as tx:
        found = await _known(tx, token)
        place = await workspaces.find(tx, organization, workspace)
    if place is None or found.workspace_id not in (None, place.id):
        raise errors.NotFound(f'cannot find workspace "{workspace}" of organization "{organization}"')
    return Caller(place, found.name, request_id)


async def authenticate_anywhere(store: Store, token: str | None, request_id: str) -> Caller:
    """Who holds this token, where no path names a workspace: in the token's own, or in the default one for a token of
    every workspace. Raises `Unauthenticated`."""
    async with store.read() as tx:
        found = await _known(tx, token)
        if found.workspace_id is None:
            place = await workspaces.find(tx, DEFAULT_SLUG, DEFAULT_SLUG)
        else:
            place = await workspaces.get(tx, found.workspace_id)
    if place is None:
        raise errors.NotFound("cannot find the workspace of this token; name one with the native API")
    return Caller(place, found.name, request_id)


async def _known(tx: Tx, token: str | None) -> Token:
    if not token:
        raise errors.Unauthenticated("cannot authenticate: send a token as `Authorization: Bearer <token>`")
    found = await workspaces.find_token(tx, hash_token(token))
    if found is None:
        raise errors.Unauthenticated("cannot authenticate: this token is not known here")
    return found
