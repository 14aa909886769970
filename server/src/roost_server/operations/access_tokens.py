"""Access tokens: what the token endpoint gives for a service account's secret, or for an API token, for a short time.

Each names what it was given for (`sid`), which is looked up at every use: a reset, or the end of the API token, ends
it at once.
"""

import hmac
import time
from typing import Any

from roost_server.domain.ids import new_id
from roost_server.domain.oauth import Client, Issued, Refused
from roost_server.domain.service_account import ServiceAccount
from roost_server.operations import signing
from roost_server.operations.caller import DEFAULT_SLUG, hash_token
from roost_server.operations.context import Context
from roost_server.store import service_accounts, workspaces
from roost_server.store.store import Tx
from roost_server.store.workspaces import Workspace

RUNTIME_SCOPE, WORKSPACE_SCOPE = "runtime:read", "workspace"
"""A service account reads its own runtime; an API token's access token may what that may, in one workspace."""


async def issue(context: Context, client: Client) -> Issued:
    """Raises `Refused`."""
    async with context.store.read() as tx:
        for client_id, secret in client.spellings:
            claims = await _claims(tx, client_id, secret)
            if claims is not None:
                return await _issued(context, tx, {"sub": client_id, "client_id": client_id, **claims})
    raise Refused("invalid_client", "cannot tell who asks: this client_id with this client_secret is not known here")


async def _issued(context: Context, tx: Tx, claims: dict[str, Any]) -> Issued:
    seconds, at = context.access_token_seconds, int(time.time())
    own = await signing.issuer(tx)
    whole = {**claims, "aud": [own, *claims.get("aud", [])], "iat": at, "exp": at + seconds, "jti": new_id()}
    token = await signing.sign(tx, context.cipher, whole, signing.ACCESS_TOKEN)
    return Issued(token, seconds, claims["scope"])


async def _claims(tx: Tx, client_id: str, secret: str) -> dict[str, Any] | None:
    account = await service_accounts.find(tx, client_id)
    if account is None:
        return await _of_api_token(tx, client_id, secret)
    if not hmac.compare_digest(account.secret_hash, hash_token(secret)):
        return None
    return await _of_service_account(tx, account)


async def _of_service_account(tx: Tx, account: ServiceAccount) -> dict[str, Any] | None:
    found = await service_accounts.holder_of(tx, account.secret_id)
    place = await workspaces.get(tx, found[1]) if found else None
    if place is None:
        return None
    its_own = {"aud": [account.runtime_id], "runtime_id": account.runtime_id}
    return {"sid": account.secret_id, "scope": RUNTIME_SCOPE, **_where(place), **its_own}


async def _of_api_token(tx: Tx, client_id: str, secret: str) -> dict[str, Any] | None:
    """`client_id` names the workspace: `<org>/<workspace>`, or `default` for default/default."""
    organization, slash, slug = client_id.partition("/")
    if not slash and organization == DEFAULT_SLUG:
        slug = DEFAULT_SLUG
    token = await workspaces.find_token(tx, hash_token(secret))
    place = await workspaces.find(tx, organization, slug)
    if token is None or place is None or token.workspace_id not in (None, place.id):
        return None
    return {"sid": token.id, "scope": WORKSPACE_SCOPE, **_where(place)}


def _where(place: Workspace) -> dict[str, str]:
    return {"org": place.organization_slug, "ws": place.slug}
