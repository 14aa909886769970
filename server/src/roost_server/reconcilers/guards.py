"""Guards: from who may call endpoints to what the gateway is told of it, with all the keys and tokens that takes."""

import json

from roost_server.domain.guards import guard_of
from roost_server.domain.route import Guard
from roost_server.operations import signing
from roost_server.store import endpoint_tokens, key_sets
from roost_server.store.store import Tx
from roost_server.store.traffic import Traffic


async def of(tx: Tx, seen: Traffic) -> dict[str, Guard]:
    """By endpoint id, of those that are not open to everybody. In the transaction that `seen` was read in."""
    if not seen.access:
        return {}
    runtime_ids = {
        endpoint.id: runtime_id
        for runtime_id, endpoints in seen.endpoints.items()
        for endpoint in endpoints
        if endpoint.id in seen.access
    }
    own = await signing.published(tx)
    own_keys = json.dumps({"keys": [dict(key) for key in own.keys]}, sort_keys=True)
    with_tokens = {id_: runtime_id for id_, runtime_id in runtime_ids.items() if seen.access[id_].mode == "token"}
    accepted = await endpoint_tokens.accepted_ids(tx, with_tokens)
    fetched = await key_sets.everything(tx)
    return {
        endpoint_id: guard_of(
            seen.access[endpoint_id],
            endpoint_id=endpoint_id,
            runtime_id=runtime_id,
            own_keys=own_keys,
            own_issuer=own.issuer,
            accepted_ids=accepted.get(endpoint_id, ()),
            fetched=fetched,
        )
        for endpoint_id, runtime_id in runtime_ids.items()
    }
