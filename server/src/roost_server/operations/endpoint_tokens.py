"""What callers may do with the tokens of an endpoint: create, list and delete them.

A token is signed, not kept: its row alone says that it is good, and the gateway learns of rows with every publish.
"""

from dataclasses import dataclass
from datetime import timedelta

from roost_server.domain import errors
from roost_server.domain.endpoint import Endpoint
from roost_server.domain.endpoint_token import EndpointToken
from roost_server.domain.runtime import Runtime
from roost_server.operations import idempotency, signing
from roost_server.operations.caller import Caller
from roost_server.operations.context import Context
from roost_server.operations.finding import find, find_endpoint, record, refuse_when_deleting
from roost_server.store import chores, endpoint_tokens, endpoints, events, leases
from roost_server.store.store import Tx

MOST_TOKENS = 100
"""Of one endpoint: the gateway keeps all of them at hand."""


@dataclass(frozen=True)
class Made:
    """A new token and its text, which is shown this once."""

    row: EndpointToken
    token: str


async def create(
    context: Context, caller: Caller, runtime_name: str, endpoint_name: str, name: str, seconds: int | None
) -> Made:
    """A token named `name`, good for `seconds`, or until it is deleted. Expired ones of this endpoint are removed.

    Raises `AlreadyExists`, `Conflict` when there are too many."""
    async with context.store.write() as tx:
        runtime, endpoint = await _find(tx, caller, runtime_name, endpoint_name)
        refuse_when_deleting(runtime)
        earlier = await idempotency.earlier(tx, caller)
        if earlier is not None:
            return await _again(context, tx, endpoint, earlier)
        await endpoint_tokens.delete_expired(tx, endpoint.id)
        _refuse_taken(endpoint, name, await endpoint_tokens.of(tx, endpoint.id))
        expires_at = None if seconds is None else leases.now() + timedelta(seconds=seconds)
        row = await endpoint_tokens.insert(tx, endpoint.id, name, expires_at)
        await idempotency.remember(tx, caller, row.id)
        await _told(tx, caller, runtime, endpoint, "create", f"token {name} of endpoint {endpoint.name} created")
        return Made(row, await _sign(context, tx, row))


async def _again(context: Context, tx: Tx, endpoint: Endpoint, token_id: str) -> Made:
    """The same row, signed once more: as good as the text that was shown before."""
    for row in await endpoint_tokens.of(tx, endpoint.id):
        if row.id == token_id:
            return Made(row, await _sign(context, tx, row))
    raise idempotency.gone("token")


def _refuse_taken(endpoint: Endpoint, name: str, there: list[EndpointToken]) -> None:
    if name in (row.name for row in there):
        message = f'cannot create token "{name}" of endpoint "{endpoint.name}": the name is taken'
        raise errors.AlreadyExists(message, errors=[errors.FieldError(("name",), message, "already_exists")])
    if len(there) >= MOST_TOKENS:
        raise errors.Conflict(
            f'cannot create token "{name}" of endpoint "{endpoint.name}": it has {len(there)}, which is the most; '
            "delete one first"
        )


async def listed(context: Context, caller: Caller, runtime_name: str, endpoint_name: str) -> list[EndpointToken]:
    """Oldest first; never their texts."""
    async with context.store.read() as tx:
        runtime = await find(tx, caller, runtime_name)
        endpoint = await find_endpoint(tx, runtime, endpoint_name)
        return await endpoint_tokens.of(tx, endpoint.id)


async def delete(context: Context, caller: Caller, runtime_name: str, endpoint_name: str, token_id: str) -> None:
    """The gateway refuses it from the next publish on, which follows at once. Raises `NotFound`."""
    async with context.store.write() as tx:
        runtime, endpoint = await _find(tx, caller, runtime_name, endpoint_name)
        names = {row.id: row.name for row in await endpoint_tokens.of(tx, endpoint.id)}
        name = names.get(token_id.lower())
        if name is None:
            raise errors.NotFound(f'cannot find token "{token_id[:100]}" of endpoint "{endpoint.name}"')
        await endpoint_tokens.delete(tx, endpoint.id, token_id.lower())
        await _told(tx, caller, runtime, endpoint, "delete", f"token {name} of endpoint {endpoint.name} deleted")


async def _find(tx: Tx, caller: Caller, runtime_name: str, endpoint_name: str) -> tuple[Runtime, Endpoint]:
    runtime = await find(tx, caller, runtime_name, to_change=True)
    return runtime, await find_endpoint(tx, runtime, endpoint_name)


async def _told(tx: Tx, caller: Caller, runtime: Runtime, endpoint: Endpoint, verb: str, message: str) -> None:
    await endpoints.retell(tx, endpoint.id)
    await events.record(tx, runtime.id, f"endpoint_token.{verb}d", message)
    await record(tx, caller, runtime, f"endpoint_token.{verb}")
    await chores.publish_routes(tx)


async def _sign(context: Context, tx: Tx, row: EndpointToken) -> str:
    claims = {"sub": row.name, "aud": row.endpoint_id, "sid": row.id, "jti": row.id}
    expiry = {} if row.expires_at is None else {"exp": int(row.expires_at.timestamp())}
    whole = {**claims, "iat": int(row.created_at.timestamp()), **expiry}
    return await signing.sign(tx, context.cipher, whole, signing.ENDPOINT_TOKEN)
