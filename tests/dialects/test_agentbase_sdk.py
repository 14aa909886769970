"""AgentBase's published Python package, unmodified, against Roost."""

from pathlib import Path
from typing import Any

import pytest
from greennode_agentbase.exceptions import GreenNodeRequestError
from greennode_agentbase.runtime import models
from greennode_agentbase.runtime.client import RuntimeClient
from support.installation import until
from support.served import TOKEN, Served
from support.waiting import eventually

from dialects.conftest import IMAGE

pytestmark = pytest.mark.slow

UNKNOWN = "runtime-00000000-0000-4000-8000-000000000000"


@pytest.fixture
def client(server: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> RuntimeClient:
    """With a token at hand and no credentials of another place."""
    for variable in ("GREENNODE_CLIENT_ID", "GREENNODE_CLIENT_SECRET"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    return RuntimeClient(base_url=server.url, access_token=TOKEN)


def request(name: str, tag: str = "v1", **fields: Any) -> models.AgentRuntimeCreateRequest:
    scaling = models.AgentRuntimeAutoscaling(min_replicas=1, max_replicas=2, cpu_utilization=50, memory_utilization=60)
    return models.AgentRuntimeCreateRequest(
        name=name, image_url=f"{IMAGE}:{tag}", flavor_id="1x1-general", autoscaling=scaling, **fields
    )


def update(tag: str, **fields: Any) -> models.AgentRuntimeUpdateRequest:
    return models.AgentRuntimeUpdateRequest(image_url=f"{IMAGE}:{tag}", flavor_id="1x2-general", **fields)


def test_a_runtimes_whole_life(client: RuntimeClient, name: str) -> None:
    created = client.create(request=request(name, description="Takes orders", environment_variables={"LEVEL": "info"}))
    assert (created.name, created.description, created.status) == (name, "Takes orders", "CREATING")
    until(lambda: client.get(id=created.id).status == "ACTIVE")
    got = client.get(id=created.id)
    assert got.image_url == f"{IMAGE}:v1" and got.environment_variables == {"LEVEL": "info"}
    assert got.autoscaling.memory_utilization == 60 and got.created_at <= got.updated_at
    assert created.id in [one.id for one in client.list(page=1, size=100).listData]
    assert client.list().totalItem >= 1

    updated = client.update(id=created.id, request=update("v2"))
    assert updated.status == "UPDATING" and updated.image_url == f"{IMAGE}:v2"
    listed = client.list_versions(id=created.id)
    assert [one.version for one in listed.listData] == [2, 1] and listed.totalItem == 2
    assert [one.flavor_id for one in listed.listData] == ["1x2-general", "1x1-general"]

    client.delete(id=created.id)
    until(lambda: gone(client, created.id))


def gone(client: RuntimeClient, runtime_id: str) -> bool:
    try:
        client.get(id=runtime_id)
    except GreenNodeRequestError as error:
        return error.status_code == 404
    return False


def test_endpoints_and_rolling_back(client: RuntimeClient, name: str) -> None:
    runtime = client.create(request=request(name)).id
    until(lambda: client.get(id=runtime).status == "ACTIVE")
    client.update(id=runtime, request=update("v2"))
    made = client.create_endpoint(id=runtime, request={"name": "staging", "version": 1})
    assert (made.name, made.version, made.agent_runtime_id) == ("staging", 1, runtime)
    endpoints = {one.name: one for one in client.list_endpoints(id=runtime, page=1, size=10).listData}
    assert set(endpoints) == {"DEFAULT", "staging"} and endpoints["DEFAULT"].version == 2
    moved = client.update_endpoint(id=runtime, endpointId=made.id, version=2)
    assert (moved.id, moved.version) == (made.id, 2)
    rolled_back = client.update_endpoint(id=runtime, endpointId=endpoints["DEFAULT"].id, version=1)
    assert (rolled_back.name, rolled_back.version) == ("DEFAULT", 1)
    until(lambda: client.get(id=runtime).status == "ACTIVE")
    assert client.delete_endpoint(id=runtime, endpointId=made.id).name == "staging"
    assert client.list_endpoints(id=runtime).totalItem == 1


def test_logs_of_a_runtime_and_of_an_endpoint(client: RuntimeClient, name: str) -> None:
    runtime = client.create(request=request(name, command=["serve"])).id
    until(lambda: client.get(id=runtime).status == "ACTIVE")
    found = client.get_logs(id=runtime, request=models.LogSearchRequest(**{"from": 0, "limit": 10}))
    assert (found.total_count, [line.content for line in found.logs]) == (1, ["started serve"])
    endpoint = client.list_endpoints(id=runtime).listData[0].id
    theirs = client.get_endpoint_logs(id=runtime, endpointId=endpoint, request=models.LogSearchRequest(query="serve"))
    assert theirs.total_count == 1 and theirs.logs[0].timestamp == found.logs[0].timestamp


def test_metrics_of_an_endpoint(client: RuntimeClient, name: str) -> None:
    runtime = client.create(request=request(name)).id
    endpoint = client.list_endpoints(id=runtime).listData[0].id
    until(lambda: client.get_endpoint_metrics(id=runtime, endpointId=endpoint).memory_bytes_usage)
    found = client.get_endpoint_metrics(id=runtime, endpointId=endpoint, fromTimestamp="2020-01-01T00:00:00Z")
    assert found.memory_bytes_usage[0].value == 1 << 20
    assert found.cpu_cores_usage[0].timestamp == found.memory_bytes_usage[0].timestamp


def test_a_private_image_whose_versions_the_package_can_read(client: RuntimeClient, name: str) -> None:
    auth = models.AgentRuntimeImageAuth(enabled=True, username="robot", password="a-registry-password")
    runtime = client.create(request=request(name, image_auth=auth))
    assert runtime.image_auth is None
    assert client.update(id=runtime.id, request=update("v2", image_auth=auth)).image_auth is None
    assert [one.image_auth for one in client.list_versions(id=runtime.id).listData] == [None, None]


def test_flavors(client: RuntimeClient) -> None:
    flavors = [models.FlavorEntity(**one) for one in client.list_all()]
    smallest = flavors[0]
    assert (smallest.id, smallest.name, smallest.cpu, smallest.ram) == ("1x1-general", "1x1-general", 1, 1024)
    assert smallest.enabled and not smallest.deleted


def test_an_error_carries_roosts_own_words(client: RuntimeClient) -> None:
    with pytest.raises(GreenNodeRequestError) as missing:
        client.get(id=UNKNOWN)
    assert missing.value.status_code == 404 and "cannot find runtime" in str(missing.value)
    with pytest.raises(GreenNodeRequestError) as refused:
        client.create(request=request("wrong").model_copy(update={"flavor_id": "9x9-general"}))
    assert refused.value.status_code == 400 and '"9x9-general"' in str(refused.value)


def test_a_wrong_token(server: Served, client: RuntimeClient) -> None:
    stranger = RuntimeClient(base_url=server.url, access_token="a-token-that-nobody-made")
    with pytest.raises(GreenNodeRequestError) as refused:
        stranger.list()
    assert refused.value.status_code == 401


async def test_the_same_without_blocking(client: RuntimeClient, name: str) -> None:
    created = await client.create_async(request=request(name, command=["serve"]))

    async def active() -> bool:
        return (await client.get_async(id=created.id)).status == "ACTIVE"

    await eventually(active)
    assert created.id in [one.id for one in (await client.list_async(page=1, size=100)).listData]
    assert (await client.update_async(id=created.id, request=update("v2"))).status == "UPDATING"
    made = await client.create_endpoint_async(id=created.id, request={"name": "staging", "version": 2})
    assert (await client.update_endpoint_async(id=created.id, endpointId=made.id, version=1)).version == 1
    await eventually(active)
    assert len((await client.list_endpoints_async(id=created.id)).listData) == 2
    assert (await client.list_versions_async(id=created.id)).totalItem == 2
    found = await client.get_logs_async(id=created.id, request=models.LogSearchRequest())
    assert found.logs[0].content == "started serve"
    theirs = await client.get_endpoint_logs_async(id=created.id, endpointId=made.id, request=models.LogSearchRequest())
    assert theirs.total_count >= 1
    measured = await client.get_endpoint_metrics_async(id=created.id, endpointId=made.id)
    assert measured.cpu_cores_usage is not None
    assert len(await client.list_all_async()) >= 1
    await client.reset_service_account_async(id=created.id)
    assert (await client.delete_endpoint_async(id=created.id, endpointId=made.id)).id == made.id
    await client.delete_async(id=created.id)
    await client.close()
