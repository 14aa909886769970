"""Service accounts and tokens of endpoints, in the SDK and as commands."""

import json
from dataclasses import asdict

import httpx
import pytest
from roost import AlreadyExistsError, AsyncRoost, NotFoundError, Roost, ValidationError

from client.conftest import Command
from client.installation import Installation


def variables(client: Roost, name: str) -> dict[str, str]:
    """What a replica finds in its environment."""
    seen = client.runtimes.get(name).exec(["env"]).stdout
    return dict(line.split("=", 1) for line in seen.splitlines())


def test_the_account_is_shown_without_its_secret(client: Roost, name: str) -> None:
    runtime = client.runtimes.create(name)
    account = runtime.service_account()
    assert (account.client_id, account.agent_identity) == (f"sa-{runtime.id}", name)
    assert variables(client, name)["ROOST_CLIENT_SECRET"] not in str(asdict(account))


def test_a_reset_waits_until_replicas_have_the_new_secret(client: Roost, name: str, server: Installation) -> None:
    runtime = client.runtimes.create(name)
    before = variables(client, name)
    looked: list[str] = []
    account = runtime.reset_service_account(on_change=lambda seen: looked.append(seen.status))
    after = variables(client, name)
    assert account.updated_at > account.created_at and runtime.status == "active" == looked[-1]
    assert after["ROOST_CLIENT_SECRET"] != before["ROOST_CLIENT_SECRET"]
    url, form = f"{server.url}/oauth/token", {"grant_type": "client_credentials"}
    codes = [
        httpx.post(url, data=form, auth=(seen["ROOST_CLIENT_ID"], seen["ROOST_CLIENT_SECRET"])).status_code
        for seen in (before, after)
    ]
    assert codes == [401, 200]


def test_an_access_token_is_as_good_as_the_api_token_it_was_given_for(server: Installation, name: str) -> None:
    form = {"grant_type": "client_credentials"}
    granted = httpx.post(f"{server.url}/oauth/token", data=form, auth=("default", server.token)).json()
    with Roost(server.url, granted["access_token"]) as client:
        assert client.runtimes.create(name).status == "active"


def test_tokens_of_an_endpoint_are_made_listed_and_removed(client: Roost, name: str) -> None:
    runtime = client.runtimes.create(name)
    lasting = runtime.create_endpoint_token("DEFAULT", "lasting")
    passing = runtime.create_endpoint_token("DEFAULT", "passing", expires_in_seconds=3600)
    assert lasting.expires_at is None and passing.expires_at is not None
    assert lasting.token.count(".") == 2 and lasting.token not in repr(lasting)
    assert [one.name for one in runtime.list_endpoint_tokens("DEFAULT")] == ["lasting", "passing"]
    runtime.delete_endpoint_token("DEFAULT", lasting.id)
    assert [one.id for one in runtime.list_endpoint_tokens("DEFAULT")] == [passing.id]
    with pytest.raises(NotFoundError):
        runtime.delete_endpoint_token("DEFAULT", lasting.id)
    with pytest.raises(AlreadyExistsError):
        runtime.create_endpoint_token("DEFAULT", "passing")
    with pytest.raises(ValidationError):
        runtime.create_endpoint_token("DEFAULT", "")


async def test_the_async_client_has_them_too(async_client: AsyncRoost, name: str) -> None:
    runtime = await async_client.runtimes.create(name)
    assert (await runtime.service_account()).agent_identity == name
    made = await runtime.create_endpoint_token("DEFAULT", "partner")
    assert [one.id for one in await runtime.list_endpoint_tokens("DEFAULT")] == [made.id]
    await runtime.delete_endpoint_token("DEFAULT", made.id)
    await runtime.reset_service_account()
    assert runtime.status == "active"


def test_commands_of_service_accounts(roost: Command, client: Roost, name: str) -> None:
    runtime = client.runtimes.create(name)
    shown = roost("service-account", "show", name)
    assert f"sa-{runtime.id}" in shown.out and "/oauth/token" in shown.out
    assert roost("service-account", "reset", name).out == f"{name} has a new secret and is active\n"
    told = json.loads(roost("service-account", "reset", name, "--no-wait", "--json").out)
    assert told["client_id"] == f"sa-{runtime.id}"
    assert roost("service-account", "show", "nobody").code == 3


def test_commands_of_endpoint_tokens(roost: Command, client: Roost, name: str) -> None:
    client.runtimes.create(name)
    made = roost("endpoint", "token", "create", name, "DEFAULT", "partner", "--expires-in", "12h")
    assert made.out.strip().count(".") == 2 and "this once" in made.err
    roost("endpoint", "token", "create", name, "DEFAULT", "other", "--json")
    header, partner, other = roost("endpoint", "token", "list", name, "DEFAULT").out.splitlines()
    assert header.split() == ["TOKEN", "ID", "AGE", "EXPIRES"]
    assert partner.split()[0] == "partner" and "never" in other and made.out.strip() not in partner
    assert roost("endpoint", "token", "delete", name, "DEFAULT", "partner").out == "removed partner\n"
    assert roost("endpoint", "token", "delete", name, "DEFAULT", other.split()[1]).code == 0
    assert roost("endpoint", "token", "delete", name, "DEFAULT", "partner").code == 3
    assert roost("endpoint", "token", "list", name, "DEFAULT", "--json").out == "[]\n"
    assert "no tokens; `roost endpoint token create" in roost("endpoint", "token", "list", name, "DEFAULT").err
    assert roost("endpoint", "token", "create", name, "DEFAULT", "x", "--expires-in", "soon").code == 2
