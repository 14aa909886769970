"""The token endpoint, and what its tokens are good for."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import jwt
import pytest
from fastapi import FastAPI
from roost_server.domain import oauth
from roost_server.operations.access_tokens import RUNTIME_SCOPE, WORKSPACE_SCOPE
from roost_server.operations.caller import hash_token
from roost_server.server import application
from roost_server.store import leases, signing_keys, workspaces
from structlog.testing import capture_logs
from support.platform import TOKEN, Rig

from api.conftest import BASE
from api.envelopes import refused

pytestmark = pytest.mark.slow

ROOT = "http://roost.test"
GRANT = {"grant_type": oauth.GRANT}
Credentials = tuple[str, str]


_served: list[FastAPI] = []


@pytest.fixture
def served(rig: Rig) -> FastAPI:
    """The application with its dialects. Built once: its routes stay, its parts are the rig's."""
    if not _served:
        _served.append(application(rig.platform.api()))
    _served[0].state.api = rig.platform.api()
    return _served[0]


@pytest.fixture
async def public(served: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a token, on the application as it is served; paths are from the root."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url=ROOT, timeout=30) as opened:
        yield opened


@pytest.fixture
async def account(http: httpx.AsyncClient, agent: dict[str, Any]) -> Credentials:
    """What the agent's replica finds in its environment."""
    return await credentials(http, "agent")


async def credentials(http: httpx.AsyncClient, name: str) -> Credentials:
    seen = await variables(http, name)
    return seen["ROOST_CLIENT_ID"], seen["ROOST_CLIENT_SECRET"]


async def variables(http: httpx.AsyncClient, name: str) -> dict[str, str]:
    answer = await http.post(f"/runtimes/{name}/exec", json={"command": ["env"]})
    return dict(line.split("=", 1) for line in answer.json()["stdout"].splitlines())


async def granted(public: httpx.AsyncClient, who: Credentials, **more: str) -> str:
    answer = await public.post("/oauth/token", data=GRANT | more, auth=who)
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["access_token"]
    return token


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def get(public: httpx.AsyncClient, path: str, token: str) -> httpx.Response:
    return await public.get(f"{BASE}{path}", headers=bearer(token))


async def test_an_answer_is_the_rfcs_and_is_kept_nowhere(public: httpx.AsyncClient, account: Credentials) -> None:
    answer = await public.post("/oauth/token", data=GRANT | {"scope": "whatever"}, auth=account)
    body = answer.json()
    assert set(body) == {"access_token", "token_type", "expires_in", "scope"}
    assert (body["token_type"], body["expires_in"], body["scope"]) == ("Bearer", 1800, RUNTIME_SCOPE)
    assert answer.headers["cache-control"] == "no-store" and answer.headers["x-request-id"]


async def test_credentials_may_be_in_the_form(public: httpx.AsyncClient, account: Credentials) -> None:
    form = GRANT | {"client_id": account[0], "client_secret": account[1]}
    assert (await public.post("/oauth/token", data=form)).status_code == 200


@pytest.mark.parametrize("client_id", ["default", "default/default"])
async def test_an_api_token_is_a_secret_of_its_workspace(public: httpx.AsyncClient, client_id: str) -> None:
    answer = await public.post("/oauth/token", data=GRANT, auth=(client_id, TOKEN))
    assert answer.json()["scope"] == WORKSPACE_SCOPE
    token = answer.json()["access_token"]
    made = await public.post(f"{BASE}/runtimes", headers=bearer(token), json={"name": "made"})
    assert made.status_code == 201
    assert (await get(public, "/runtimes", token)).json()["items"][0]["name"] == "made"


@pytest.mark.parametrize(
    "who",
    [
        ("default", "not-the-token"),
        ("default/other", TOKEN),
        ("other", TOKEN),
        ("sa-00000000-0000-0000-0000-000000000000", TOKEN),
        ("x' OR '1'='1", TOKEN),
    ],
)
async def test_nobody_else_is_given_one(public: httpx.AsyncClient, who: Credentials) -> None:
    unknown(await public.post("/oauth/token", data=GRANT, auth=who))


def unknown(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.json()["error_description"].startswith("cannot ")
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert answer.headers["cache-control"] == "no-store" and answer.headers["x-request-id"]


async def test_one_accounts_secret_is_not_anothers(
    public: httpx.AsyncClient, http: httpx.AsyncClient, account: Credentials
) -> None:
    await http.post("/runtimes?wait=30", json={"name": "other"})
    other = await credentials(http, "other")
    unknown(await public.post("/oauth/token", data=GRANT, auth=(account[0], other[1])))
    unknown(await public.post("/oauth/token", data=GRANT, auth=(account[0], TOKEN)))


async def test_a_caller_who_goes_away_is_no_bug(served: FastAPI) -> None:
    scope = {"type": "http", "method": "POST", "path": "/oauth/token", "query_string": b"", "headers": []}

    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def nowhere(message: Any) -> None:
        raise AssertionError("nobody is there to be answered")

    with capture_logs() as logs:
        await served(scope, gone, nowhere)
    assert [entry["log_level"] for entry in logs if entry.get("path") == "/oauth/token"] == ["debug"]


async def test_the_request_is_judged_before_the_client(public: httpx.AsyncClient, account: Credentials) -> None:
    answer = await public.post("/oauth/token", data={"grant_type": "password"}, auth=account)
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")
    answer = await public.post("/oauth/token", json=GRANT, auth=account)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_anybody_can_verify_what_is_signed(
    public: httpx.AsyncClient, account: Credentials, agent: dict[str, Any]
) -> None:
    metadata = (await public.get("/.well-known/oauth-authorization-server")).json()
    assert metadata["token_endpoint"] == f"{ROOT}/oauth/token"
    keys = jwt.PyJWKSet.from_dict((await public.get(metadata["jwks_uri"])).json())
    token = await granted(public, account)
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key, issuer=metadata["issuer"], audience=str(agent["id"]))
    assert (claims["sub"], claims["org"], claims["ws"]) == (account[0], "default", "default")
    assert claims["runtime_id"] == agent["id"] and claims["exp"] - claims["iat"] == 1800
    assert metadata["issuer"] in claims["aud"] and metadata["issuer"].startswith("roost:")


async def test_the_issuer_does_not_depend_on_the_address_asked(public: httpx.AsyncClient) -> None:
    path = "/.well-known/oauth-authorization-server"
    here, there = [(await public.get(path, headers={"Host": host})).json() for host in ("a.test", "b.test")]
    assert here["issuer"] == there["issuer"]
    assert there["token_endpoint"] == "http://b.test/oauth/token"


@pytest.mark.parametrize(
    "change",
    [
        {"alg": "none"},
        {"alg": "HS256"},
        {"typ": "JWT"},
        {"kid": "unknown"},
        {"iss": "roost:another"},
        {"aud": "another"},
        {"sid": "00000000-0000-0000-0000-000000000000"},
        {"exp": 1},
        {"exp": None},
    ],
    ids=str,
)
async def test_a_token_that_roost_did_not_make_so_is_refused(
    public: httpx.AsyncClient, rig: Rig, account: Credentials, change: dict[str, Any]
) -> None:
    good = await granted(public, account)
    assert (await get(public, "/runtimes/agent", await _changed(rig, good, {}))).status_code == 200
    refused(await get(public, "/runtimes/agent", await _changed(rig, good, change)), 401)


async def _changed(rig: Rig, token: str, change: dict[str, Any]) -> str:
    """Signed anew with the installation's own key, or without one where the algorithm is another."""
    async with rig.store.read() as tx:
        key = await signing_keys.signer(tx, rig.context.cipher, leases.now())
    header, claims = jwt.get_unverified_header(token), jwt.decode(token, options={"verify_signature": False})
    for name, value in change.items():
        (header if name in ("alg", "typ", "kid") else claims)[name] = value
    claims = {name: value for name, value in claims.items() if value is not None}
    algorithm = header.pop("alg")
    secret = {"none": "", "HS256": "x" * 32}.get(algorithm, key.private)
    return jwt.encode(claims, secret, algorithm, headers=header)


@pytest.mark.parametrize("token", ["a.b.c", "..", "eyJhbGciOiJFUzI1NiJ9.e30.", "x" * 5000, "eyJ\xe4.e30.x"], ids=len)
async def test_rubbish_is_no_token(public: httpx.AsyncClient, token: str) -> None:
    header = {b"authorization": b"Bearer " + token.encode("latin-1")}
    refused(await public.get(f"{BASE}/runtimes", headers=header), 401)


async def test_a_removed_api_token_ends_its_access_tokens(public: httpx.AsyncClient, rig: Rig) -> None:
    token = await granted(public, ("default", TOKEN))
    assert (await get(public, "/runtimes", token)).status_code == 200
    async with rig.store.write() as tx:
        await workspaces.set_admin_token(tx, hash_token("another-token-of-the-administrator"))
    refused(await get(public, "/runtimes", token), 401)


async def test_an_access_token_is_for_the_workspace_it_was_asked_for(public: httpx.AsyncClient, rig: Rig) -> None:
    async with rig.store.write() as tx:
        await workspaces.create(tx, "other", "place")
    there = f"{ROOT}/api/v1/org/other/ws/place/runtimes"
    token = await granted(public, ("other/place", TOKEN))
    assert (await public.get(there, headers=bearer(token))).status_code == 200
    refused(await get(public, "/runtimes", token), 404)
    refused(await public.get(there, headers=bearer(await granted(public, ("default", TOKEN)))), 404)


async def test_agentbase_spells_it_in_json(public: httpx.AsyncClient, account: Credentials) -> None:
    path = "/accounts-api/v2/auth/token"
    asked = {"grantType": oauth.GRANT, "clientId": account[0], "clientSecret": account[1]}
    answer = await public.post(path, json=asked)
    told = answer.json()["data"]
    assert (set(answer.json()), told["tokenType"], told["expiresIn"]) == ({"data"}, "Bearer", 1800)
    assert (await get(public, "/runtimes/agent", told["accessToken"])).status_code == 200
    answer = await public.post(path, data=GRANT, auth=account)
    assert (await get(public, "/runtimes/agent", answer.json()["access_token"])).status_code == 200


@pytest.mark.parametrize(
    ("status", "error", "body"),
    [
        (400, "invalid_request", b"{"),
        (400, "invalid_request", b"[]"),
        (400, "invalid_request", b"[" * 100_000),
        (400, "invalid_request", b'{"grantType": 1}'),
        (400, "unsupported_grant_type", b'{"grantType": "password"}'),
        (401, "invalid_client", b'{"grantType": "client_credentials"}'),
        (401, "invalid_client", b'{"grantType": "client_credentials", "clientId": "a", "clientSecret": "\\u00e4"}'),
        (401, "invalid_client", b'{"grantType": "client_credentials", "clientId": "a", "clientSecret": "b"}'),
    ],
)
async def test_agentbases_clients_are_told_what_is_wrong(
    public: httpx.AsyncClient, status: int, error: str, body: bytes
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await public.post("/accounts-api/v2/auth/token", content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


def operations(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Method and path of every route of the document that needs a token."""
    for path, methods in app.openapi()["paths"].items():
        for method, operation in methods.items():
            if "security" in operation:
                yield method.upper(), path


def filled(path: str, runtime: str) -> str:
    values = {
        "org": "default",
        "ws": "default",
        "runtime": runtime,
        "runtime_id": runtime,
        "endpoint": "DEFAULT",
        "version": "1",
        "other": "1",
    }
    for name, value in values.items():
        path = path.replace("{" + name + "}", value)
    return ROOT + path.replace("{", "").replace("}", "")


async def test_a_service_account_may_read_its_own_runtime_and_nothing_else(
    public: httpx.AsyncClient, http: httpx.AsyncClient, served: FastAPI, account: Credentials, agent: dict[str, Any]
) -> None:
    await http.post("/runtimes?wait=30", json={"name": "other"})
    headers = bearer(await granted(public, account))

    async def answer(method: str, path: str, runtime: str) -> int:
        return (await public.request(method, filled(path, runtime), headers=headers)).status_code

    seen = 0
    for method, path in operations(served):
        if "{runtime" not in path:
            assert await answer(method, path, "") == 403, (method, path)
            continue
        assert await answer(method, path, "other") == 404, (method, path)
        for own in ("agent", str(agent["id"]), str(agent["id"]).upper()):
            code = await answer(method, path, own)
            looks = method == "GET" or path.endswith("/logs")
            assert code in (200, 400, 404, 422) if looks else code == 403, (method, path, code)
            seen += code == 200
    assert seen >= 3 * 12


async def test_a_service_account_is_told_what_it_may(
    public: httpx.AsyncClient, http: httpx.AsyncClient, account: Credentials
) -> None:
    await http.post("/runtimes?wait=30", json={"name": "other"})
    token = await granted(public, account)
    assert refused(await get(public, "/runtimes/other", token), 404)["detail"] == 'cannot find runtime "other"'
    for path in ("/runtimes", "/images"):
        assert "may only read its own runtime" in refused(await get(public, path, token), 403)["detail"]
    answer = await public.delete(f"{BASE}/runtimes/agent", headers=bearer(token))
    assert "API token" in refused(answer, 403)["detail"]


async def test_nothing_that_is_shown_has_the_secret(
    public: httpx.AsyncClient, http: httpx.AsyncClient, app: FastAPI, account: Credentials
) -> None:
    await http.post("/runtimes/agent/service-account/reset?wait=30")
    secrets = [account[1], (await credentials(http, "agent"))[1]]
    for method, path in operations(app):
        if method == "GET":
            shown = (await http.get(filled(path, "agent"))).text
            assert not [secret for secret in secrets if secret in shown], path


async def test_a_reset_while_tokens_are_asked_for(
    public: httpx.AsyncClient, http: httpx.AsyncClient, account: Credentials
) -> None:
    given: list[str] = []
    after: list[int] = []
    is_reset, is_busy = asyncio.Event(), asyncio.Event()

    async def ask() -> None:
        while not is_reset.is_set() or len(after) < 20:
            began_after = is_reset.is_set()
            answer = await public.post("/oauth/token", data=GRANT, auth=account)
            assert answer.status_code in (200, 401), answer.text
            if answer.status_code == 200:
                given.append(answer.json()["access_token"])
                is_busy.set()
            if began_after:
                after.append(answer.status_code)

    asking = [asyncio.create_task(ask()) for _ in range(4)]
    await is_busy.wait()
    answer = await http.post("/runtimes/agent/service-account/reset")
    is_reset.set()
    await asyncio.gather(*asking)
    assert answer.status_code == 200 and set(after) == {401}
    for token in given:
        refused(await get(public, "/runtimes/agent", token), 401)
    await http.get("/runtimes/agent?wait=30")
    renewed = await credentials(http, "agent")
    assert renewed[0] == account[0] and renewed[1] != account[1]
    assert (await get(public, "/runtimes/agent", await granted(public, renewed))).status_code == 200
