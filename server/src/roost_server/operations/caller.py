"""Caller: who asks, for which workspace, what they may, and how a token becomes one."""

import hashlib
from dataclasses import dataclass
from typing import Any

from roost_server.domain import errors
from roost_server.domain.service_account import Identity, client_id_of
from roost_server.operations import signing
from roost_server.store import service_accounts, workspaces
from roost_server.store.store import Store, Tx
from roost_server.store.workspaces import Workspace

DEFAULT_SLUG = "default"


@dataclass(frozen=True)
class Caller:
    """`identity` is set for a service account: all it may is to read its own runtime. `key` and `fingerprint` are
    those of an idempotent request; None when the caller sent no key."""

    workspace: Workspace
    actor: str
    request_id: str
    key: str | None = None
    fingerprint: str = ""
    role: str = "member"
    identity: Identity | None = None

    @property
    def workspace_id(self) -> str:
        return self.workspace.id

    @property
    def is_admin(self) -> bool:
        """Whether they may change what belongs to the whole installation."""
        return self.role in ("root", "admin")

    @property
    def runtime_id(self) -> str | None:
        """The one runtime this caller may read; None: any."""
        return self.identity.runtime_id if self.identity else None


@dataclass(frozen=True)
class Asked:
    """What a request is about: whether it only reads, and the runtime that its address names, by id or name."""

    reads: bool = False
    runtime: str | None = None


NOTHING_SAID = Asked()
"""Service accounts are refused everything that nobody said to be a look at their own runtime."""


@dataclass(frozen=True)
class _Holder:
    """Who holds a token. `workspace_id` None: every workspace."""

    actor: str
    role: str
    workspace_id: str | None
    identity: Identity | None = None


def hash_token(token: str) -> str:
    """Tokens have full entropy, so one round of SHA-256 keeps them safe at rest."""
    return hashlib.sha256(token.encode()).hexdigest()


async def authenticate(
    store: Store,
    token: str | None,
    organization: str | None,
    workspace: str | None,
    request_id: str,
    asked: Asked = NOTHING_SAID,
) -> Caller:
    """Who holds this API token or access token, in this workspace; without one, in that which the token belongs to.

    Raises `Unauthenticated`; `NotFound` for a workspace not theirs; what `check` raises.
    """
    if not token:
        raise errors.Unauthenticated("cannot authenticate: send a token as `Authorization: Bearer <token>`")
    async with store.read() as tx:
        holder = await _holder_of(tx, token)
        place = await _place(tx, holder, organization, workspace)
    if place is None or holder.workspace_id not in (None, place.id):
        raise errors.NotFound(f'cannot find workspace "{workspace}" of organization "{organization}"')
    caller = Caller(place, holder.actor, request_id, role=holder.role, identity=holder.identity)
    check(caller, asked)
    return caller


def check(caller: Caller, asked: Asked) -> None:
    """The one place that says what a service account may. Raises `NotFound` for a runtime that is not its own,
    `Forbidden` for everything but looking at that."""
    own = caller.identity
    if own is None:
        return
    if asked.runtime is not None and not own.is_called(asked.runtime):
        raise errors.NotFound(f'cannot find runtime "{asked.runtime[:100]}"')
    if asked.runtime is None or not asked.reads:
        raise errors.Forbidden(
            f'cannot do this as the service account of runtime "{own.name}": it may only read its own runtime; '
            "use an API token of the workspace"
        )


async def _place(tx: Tx, holder: _Holder, organization: str | None, workspace: str | None) -> Workspace | None:
    if organization is None and workspace is None and holder.workspace_id is not None:
        return await workspaces.get(tx, holder.workspace_id)
    return await workspaces.find(tx, organization or DEFAULT_SLUG, workspace or DEFAULT_SLUG)


async def _holder_of(tx: Tx, token: str) -> _Holder:
    found = await workspaces.find_token(tx, hash_token(token))
    if found is not None:
        return _Holder(found.name, found.role, found.workspace_id)
    claims = signing.read_access_token(token, await signing.published(tx))
    if claims is None:
        raise errors.Unauthenticated("cannot authenticate: this token is not known here")
    holder = await _holder_of_claims(tx, claims)
    if holder is None:
        raise errors.Unauthenticated("cannot authenticate: what this access token was given for is no longer valid")
    return holder


async def _holder_of_claims(tx: Tx, claims: dict[str, Any]) -> _Holder | None:
    """None when what the access token was given for has been reset or removed."""
    if "runtime_id" in claims:
        found = await service_accounts.holder_of(tx, claims["sid"])
        return _Holder(client_id_of(found[0].runtime_id), "viewer", found[1], found[0]) if found else None
    token = await workspaces.get_token(tx, claims["sid"])
    place = await workspaces.find(tx, claims["org"], claims["ws"])
    if token is None or place is None or token.workspace_id not in (None, place.id):
        return None
    return _Holder(token.name, token.role, place.id)
