"""An agent of AgentBase's, unmodified package inside and outside: built, deployed, called, updated, rolled back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from greennode_agentbase.runtime import models
from greennode_agentbase.runtime.client import RuntimeClient
from support.installation import TOKEN, Installation, until

from e2e.stories import image_folder

pytestmark = pytest.mark.slow

IMAGE = """
FROM builtin:runtime
RUN python3 -m venv /opt/agent
RUN /opt/agent/bin/pip install --no-cache-dir greennode-agentbase==1.0.3
COPY main.py /app/main.py
CMD ["/opt/agent/bin/python", "-u", "/app/main.py"]
"""
MAIN = """
import os

from greennode_agentbase import GreenNodeAgentBaseApp
from greennode_agentbase.core.loader import load_spec
from greennode_agentbase.runtime.client import RuntimeClient

load_spec("runtime")["oauth2_token_url"] = os.environ["ROOST_TOKEN_URL"]
app = GreenNodeAgentBaseApp()

@app.entrypoint
async def answer(payload):
    print("asked", payload["prompt"])
    client = RuntimeClient(base_url=os.environ["ROOST_URL"])
    me = await client.get_async(id=os.environ["ROOST_RUNTIME_ID"])
    await client.close()
    given = {name: value for name, value in os.environ.items() if name.startswith("GREENNODE_")}
    return {"version": os.environ["ROOST_VERSION"], "given": given, "known_as": me.name, "status": me.status}

app.run(port=8080, host="0.0.0.0")
"""


@pytest.fixture
def client(shared: Installation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> RuntimeClient:
    """The package outside, with an API token."""
    for variable in ("GREENNODE_CLIENT_ID", "GREENNODE_CLIENT_SECRET"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    return RuntimeClient(base_url=shared.url, access_token=TOKEN)


@pytest.fixture(scope="module")
def image(shared: Installation, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of the agent's image, built here."""
    folder = image_folder(tmp_path_factory.mktemp("image") / "agent", IMAGE, main__py=MAIN)
    shared.client.images.build(folder, "agentbase-agent:v1")
    return "agentbase-agent:v1"


@pytest.fixture
def runtime(shared: Installation, client: RuntimeClient, image: str, name: str) -> Iterator[str]:
    """The id of the deployed agent, active."""
    request = models.AgentRuntimeCreateRequest(name=name, image_url=image, flavor_id="1x1-general")
    made = client.create(request=request)
    until_active(client, made.id)
    yield made.id
    client.delete(id=made.id)


def until_active(client: RuntimeClient, runtime: str) -> None:
    """Every change says UPDATING at once. Fails the test when the runtime failed."""

    def look() -> bool:
        shown = client.get(id=runtime)
        assert shown.status != "ERROR", shown.status_reason
        return bool(shown.status == "ACTIVE")

    until(look, 120)


def ask(shared: Installation, client: RuntimeClient, runtime: str, prompt: str = "hello") -> dict[str, Any]:
    """What the agent answers at its DEFAULT endpoint's URL."""
    url = httpx.URL(client.list_endpoints(id=runtime).listData[0].url)
    address = f"http://127.0.0.1:{shared.http_port}/invocations"
    answer = httpx.post(address, json={"prompt": prompt}, headers={"Host": url.host}, timeout=60)
    answer.raise_for_status()
    said: dict[str, Any] = answer.json()
    return said


def test_an_agent_knows_who_it_is_and_proves_it_with_its_own_package(
    shared: Installation, client: RuntimeClient, runtime: str, name: str
) -> None:
    said = ask(shared, client, runtime)
    assert (said["known_as"], said["status"], said["version"]) == (name, "ACTIVE", "1")
    names = {"CLIENT_ID", "CLIENT_SECRET", "AGENT_IDENTITY", "ENDPOINT_URL"}
    assert {name.removeprefix("GREENNODE_") for name in said["given"]} == names
    assert said["given"]["GREENNODE_AGENT_IDENTITY"] == name
    asked = models.LogSearchRequest(query="asked hello")
    until(lambda: client.get_logs(id=runtime, request=asked).total_count == 1)

    client.reset_service_account(id=runtime)
    until_active(client, runtime)
    again = ask(shared, client, runtime)
    assert again["given"]["GREENNODE_CLIENT_SECRET"] != said["given"]["GREENNODE_CLIENT_SECRET"]
    assert again["known_as"] == name


def test_an_update_and_rolling_it_back(shared: Installation, client: RuntimeClient, runtime: str, image: str) -> None:
    update = models.AgentRuntimeUpdateRequest(
        image_url=image, flavor_id="1x1-general", environment_variables={"GREENNODE_NOTE": "second"}
    )
    client.update(id=runtime, request=update)
    until_active(client, runtime)
    said = ask(shared, client, runtime)
    assert (said["version"], said["given"]["GREENNODE_NOTE"]) == ("2", "second")
    default = client.list_endpoints(id=runtime).listData[0]
    client.update_endpoint(id=runtime, endpointId=default.id, version=1)
    until_active(client, runtime)
    assert ask(shared, client, runtime)["version"] == "1"
