"""Who AgentBase's callers are: API tokens, access tokens, and the service accounts of runtimes."""

from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from greennode_agentbase.cli.runtime import runtime_group
from greennode_agentbase.core.loader import load_spec
from greennode_agentbase.exceptions import GreenNodeRequestError
from greennode_agentbase.identity import IAMCredentials
from greennode_agentbase.runtime.client import RuntimeClient
from support.installation import until
from support.served import TOKEN, Served

from dialects.conftest import IMAGE, active, spec

pytestmark = pytest.mark.slow

Shown = dict[str, Any]
TOKEN_PATH = "/accounts-api/v2/auth/token"


@pytest.fixture(autouse=True)
def _here(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package gets its tokens from this server."""
    monkeypatch.setitem(load_spec("runtime"), "oauth2_token_url", f"{server.url}{TOKEN_PATH}")


def environment(server: Served, name: str) -> dict[str, str]:
    """What the runtime's replica was given."""
    told = server.http.post(f"/runtimes/{name}/exec", json={"command": ["env"]}).json()["stdout"]
    return dict(line.split("=", 1) for line in told.splitlines())


def account(server: Served, name: str) -> IAMCredentials:
    """The credentials of a runtime's service account, as its replica knows them."""
    given = environment(server, name)
    return IAMCredentials(client_id=given["GREENNODE_CLIENT_ID"], client_secret=given["GREENNODE_CLIENT_SECRET"])


def client(server: Served, credentials: IAMCredentials) -> RuntimeClient:
    return RuntimeClient(base_url=server.url, iam_credentials=credentials)


def refusal(client: RuntimeClient, **asked: str) -> int | None:
    """The status with which a look at a runtime is refused."""
    with pytest.raises(GreenNodeRequestError) as refused:
        client.get(**asked)
    return refused.value.status_code


def test_the_package_gets_an_access_token_and_works_with_it(server: Served, agent: Shown) -> None:
    ours = client(server, IAMCredentials(client_id="default", client_secret=TOKEN))
    assert ours.get(id=agent["id"]).name == agent["name"]
    assert agent["id"] in [one.id for one in ours.list(page=1, size=1000).listData]


def test_a_service_account_may_look_at_its_own_runtime_only(
    server: Served, http: httpx.Client, agent: Shown, name: str
) -> None:
    theirs = client(server, account(server, agent["name"]))
    bare = agent["id"].removeprefix("runtime-")
    assert [theirs.get(id=one).name for one in (agent["id"], bare)] == [agent["name"]] * 2
    assert theirs.get_logs(id=agent["id"], request={"query": "started"}).total_count == 1
    other = http.post("/agent-runtimes", json={"name": f"{name}-2", "imageUrl": "a:v1", "flavorId": "1x1-general"})
    assert refusal(theirs, id=other.json()["id"]) == 404
    for forbidden in (theirs.list, theirs.list_all):
        with pytest.raises(GreenNodeRequestError) as refused:
            forbidden()
        assert refused.value.status_code == 403
    with pytest.raises(GreenNodeRequestError) as refused:
        theirs.delete(id=agent["id"])
    assert refused.value.status_code == 403 and "service account" in str(refused.value)


def test_a_service_account_changes_nothing_whose_name_is_logs(server: Served, http: httpx.Client) -> None:
    runtime = http.post("/agent-runtimes", json=spec("v1", name="logs")).json()
    assert http.post(f"/agent-runtimes/{runtime['id']}/endpoints", json={"name": "logs"}).status_code == 201
    active(http, runtime["id"])
    known = account(server, "logs")
    form = {"grant_type": "client_credentials"}
    answer = httpx.post(f"{server.url}{TOKEN_PATH}", data=form, auth=(known.client_id, known.client_secret))
    theirs = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    with httpx.Client(base_url=server.url, headers=theirs) as inside:
        for method, path, body in (
            ("PATCH", "/agent-runtimes/logs", spec("v2")),
            ("PUT", "/agent-runtimes/logs/endpoints/logs?version=1", None),
            ("DELETE", "/agent-runtimes/logs/endpoints/logs", None),
            ("DELETE", "/agent-runtimes/logs", None),
        ):
            assert inside.request(method, path, json=body).status_code == 403, (method, path)
        for path in ("/agent-runtimes/logs/logs", "/agent-runtimes/logs/endpoints/logs/logs"):
            assert inside.post(path, json={}).status_code == 200, path


@pytest.mark.parametrize("verb", ["POST", "PATCH"])
def test_a_reset_gives_new_replicas_another_secret_and_ends_the_one_before(
    server: Served, http: httpx.Client, agent: Shown, verb: str
) -> None:
    before = account(server, agent["name"])
    old = client(server, before)
    assert old.get(id=agent["id"]).name == agent["name"]
    answer = http.request(verb, f"/agent-runtimes/{agent['id']}/reset-service-account")
    assert (answer.status_code, answer.content) == (200, b""), answer.text
    assert refusal(old, id=agent["id"]) == 401
    assert refusal(client(server, before), id=agent["id"]) == 401
    active(http, agent["id"])
    until(lambda: account(server, agent["name"]).client_secret != before.client_secret)
    assert client(server, account(server, agent["name"])).get(id=agent["id"]).name == agent["name"]


def test_the_packages_command_lists_and_updates(
    server: Served, http: httpx.Client, agent: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(load_spec("runtime"), "base_url", server.url)
    monkeypatch.setenv("GREENNODE_CLIENT_ID", "default")
    monkeypatch.setenv("GREENNODE_CLIENT_SECRET", TOKEN)
    listed = CliRunner().invoke(runtime_group, ["list"], input="1\n1000\n")
    assert listed.exit_code == 0 and agent["name"] in listed.output, listed.output
    image = f"{IMAGE}:v2"
    patched = CliRunner().invoke(runtime_group, ["patch", agent["id"], "--image-url", image, "--env", "LEVEL=info"])
    assert patched.exit_code == 0, patched.output
    shown = active(http, agent["id"], 2)
    assert (shown["imageUrl"], shown["environmentVariables"]) == (image, {"LEVEL": "info"})
    assert shown["autoscaling"] == agent["autoscaling"]


def test_the_package_resets_a_service_account(server: Served, http: httpx.Client, agent: Shown) -> None:
    ours = client(server, IAMCredentials(client_id="default", client_secret=TOKEN))
    before = account(server, agent["name"])
    ours.reset_service_account(id=agent["id"])
    active(http, agent["id"])
    until(lambda: account(server, agent["name"]).client_secret != before.client_secret)
