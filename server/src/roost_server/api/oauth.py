"""OAuth 2.0 over HTTP, outside the API's base path: access tokens for client credentials (RFC 6749, 4.4), the keys
that verify what Roost signs (RFC 7517), and what an OAuth client has to know (RFC 8414).

Refusals are worded as RFC 6749 has them; what is no matter of OAuth (a body too large, no database) is answered with
the API's own envelope.
"""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from roost_server.api.context import ApiOf
from roost_server.api.errors import documented
from roost_server.domain import oauth
from roost_server.operations import access_tokens, signing

router = APIRouter(tags=["oauth"])

NOT_KEPT = {"Cache-Control": "no-store", "Pragma": "no-cache"}
KEPT = {"Cache-Control": "public, max-age=300"}


class AccessToken(BaseModel):
    access_token: str
    token_type: str
    expires_in: int = Field(description="Seconds.")
    scope: str


class OauthError(BaseModel):
    """RFC 6749, 5.2."""

    error: str
    error_description: str


class KeySet(BaseModel):
    keys: list[dict[str, Any]] = Field(description="JSON Web Keys, of every key that may have signed.")


class Metadata(BaseModel):
    issuer: str = Field(description="The `iss` of every token: a name of this installation, not an address.")
    token_endpoint: str
    jwks_uri: str
    grant_types_supported: list[str]
    response_types_supported: list[str]
    scopes_supported: list[str]
    token_endpoint_auth_methods_supported: list[str]


_TOKEN_BODY = {
    "required": True,
    "content": {
        oauth.FORM: {
            "schema": {
                "type": "object",
                "required": ["grant_type"],
                "properties": {
                    "grant_type": {"type": "string", "enum": [oauth.GRANT]},
                    "client_id": {
                        "type": "string",
                        "description": "A service account's, or <org>/<workspace> (`default` for default/default).",
                    },
                    "client_secret": {
                        "type": "string",
                        "description": "A service account's, or an API token of the workspace.",
                    },
                    "scope": {"type": "string", "description": "Any; the answer says what was granted."},
                },
            }
        }
    },
}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": OauthError, "description": "The request is not one that OAuth 2.0 grants."},
    401: {"model": OauthError, "description": "The client did not prove who it is."},
}


def refuse(refused: oauth.Refused) -> JSONResponse:
    body = OauthError(error=refused.error, error_description=str(refused)).model_dump()
    told = {"WWW-Authenticate": 'Basic realm="roost"'} if refused.status == 401 else {}
    return JSONResponse(body, refused.status, {**NOT_KEPT, **told})


@router.post(
    "/oauth/token",
    response_model=AccessToken,
    responses={**documented(), **_REFUSALS},
    openapi_extra={"requestBody": _TOKEN_BODY},
)
async def create_access_token(request: Request, api: ApiOf) -> JSONResponse:
    """An access token for client credentials, sent in the form or as HTTP Basic."""
    try:
        headers = request.headers
        client = oauth.read_form(headers.get("content-type", ""), headers.get("authorization"), await request.body())
        issued = await access_tokens.issue(api.context, client)
    except oauth.Refused as refused:
        return refuse(refused)
    return JSONResponse({"token_type": "Bearer", **issued.__dict__}, headers=NOT_KEPT)


@router.get("/.well-known/jwks.json", responses=documented())
async def get_keys(api: ApiOf, response: Response) -> KeySet:
    """The public keys of what Roost signs: access tokens, and tokens of endpoints."""
    response.headers.update(KEPT)
    async with api.context.store.read() as tx:
        return KeySet(keys=[dict(key) for key in (await signing.published(tx)).keys])


@router.get("/.well-known/oauth-authorization-server", responses=documented())
async def get_metadata(request: Request, api: ApiOf, response: Response) -> Metadata:
    """What OAuth clients ask for; its URLs are under the address that was asked."""
    response.headers.update(KEPT)
    async with api.context.store.read() as tx:
        issuer = await signing.issuer(tx)
    here = str(request.base_url).rstrip("/")
    return Metadata(
        issuer=issuer,
        token_endpoint=f"{here}/oauth/token",
        jwks_uri=f"{here}/.well-known/jwks.json",
        grant_types_supported=[oauth.GRANT],
        response_types_supported=[],
        scopes_supported=[access_tokens.RUNTIME_SCOPE, access_tokens.WORKSPACE_SCOPE],
        token_endpoint_auth_methods_supported=["client_secret_basic", "client_secret_post"],
    )
