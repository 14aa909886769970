"""The SDK's versions, endpoints, rollback and flavors, against a real server with simulated boxes."""

from collections.abc import Iterator

import pytest
from roost import (
    AlreadyExistsError,
    AsyncRoost,
    ConflictError,
    NotFoundError,
    Roost,
    RoostError,
    Runtime,
    RuntimeFailed,
    Share,
    ValidationError,
    WaitTimeout,
)
from roost.config import RunOptions, compose

FAULT = "ROOST_SIMULATED_FAULT"


@pytest.fixture
def runtime(client: Roost, name: str) -> Iterator[Runtime]:
    yield client.runtimes.create(name, "hello", env={"MODEL": "small"})


def change(runtime: Runtime, **options: str) -> Runtime:
    """A new version with other variables."""
    return runtime.put_config(compose(None, runtime.get_config(), RunOptions(env=options)))


def test_the_runtime_tells_what_its_endpoint_serves_and_keeps(runtime: Runtime) -> None:
    change(runtime, MODEL="large")
    (default,) = runtime.endpoints
    assert (default.default, default.status, default.live) == (True, "active", [Share(2, 100)])
    assert default.kept is not None and default.kept.version == 1
    assert (runtime.version, runtime.applied_version, runtime.replicas.wanted) == (2, 2, 1)


def test_a_version_is_recorded_and_applied_by_a_restart(runtime: Runtime) -> None:
    config = compose(None, runtime.get_config(), {"env": {"MODEL": "large"}})
    runtime.put_config(config, apply="next_start", expected_revision=runtime.revision)
    assert (runtime.version, runtime.applied_version, runtime.stale, runtime.status) == (2, 1, True, "active")
    assert runtime.restart() is runtime
    assert (runtime.applied_version, runtime.stale, runtime.endpoints[0].version) == (2, False, 2)


def test_who_may_call_changes_also_while_the_latest_version_does_not_start(runtime: Runtime) -> None:
    with pytest.raises(RuntimeFailed):
        change(runtime, **{FAULT: "exits_at_once"})
    changed = runtime.update_endpoint("DEFAULT", access={"mode": "token"})
    assert (changed.status, changed.routed, changed.access["mode"]) == ("error", True, "token")
    with pytest.raises(RuntimeFailed):
        runtime.update_endpoint("DEFAULT", follow=True)


def test_a_restart_replaces_every_replica(runtime: Runtime) -> None:
    before = {one.id for one in runtime.list_replicas()}
    runtime.restart()
    assert runtime.status == "active"
    ready = {one.id for one in runtime.list_replicas() if one.status == "ready"}
    assert ready and not ready & before


def test_versions_are_read_and_compared(runtime: Runtime) -> None:
    change(runtime, MODEL="large")
    assert runtime.get_version(1).config["runtime_server"] == {"env": {"MODEL": "small"}}
    assert (runtime.get_version(2).cpu_cores, runtime.get_version(2).memory_mb) == (1, 1024)
    found = runtime.diff_versions(2)
    assert (found.version, found.other, list(found.changes)) == (2, 1, ["runtime_server.env.MODEL"])
    changed = found.changes["runtime_server.env.MODEL"]
    assert (changed.was, changed.now) == ("small", "large")
    assert runtime.diff_versions(1, 2).changes["runtime_server.env.MODEL"].now == "small"
    with pytest.raises(NotFoundError):
        runtime.get_version(3)


def test_rolling_back_goes_to_what_served_before_and_there_again(runtime: Runtime) -> None:
    change(runtime, MODEL="large")
    back = runtime.rollback()
    assert (back.version, back.pinned, back.status) == (1, True, "active")
    assert runtime.endpoints == [back]
    assert runtime.rollback().version == 2


def test_rolling_back_from_a_version_that_does_not_start_stays_with_what_serves(runtime: Runtime) -> None:
    change(runtime, MODEL="large")
    with pytest.raises(RuntimeFailed, match="version 2 keeps serving"):
        change(runtime, **{FAULT: "exits_at_once"})
    back = runtime.rollback()
    assert (back.version, back.target_version, runtime.status) == (2, 2, "active")


def test_rolling_back_goes_to_a_named_version_and_is_followed_by_the_latest(runtime: Runtime) -> None:
    change(runtime, MODEL="large")
    change(runtime, MODEL="huge")
    assert runtime.rollback(to=1).live == [Share(1, 100)]
    assert runtime.update_endpoint("DEFAULT", follow=True).version == 3
    with pytest.raises(ValidationError):
        runtime.rollback(to=4)


def test_the_first_version_has_nothing_to_go_back_to(runtime: Runtime) -> None:
    with pytest.raises(RoostError, match="version 1 is its first"):
        runtime.rollback()


def test_a_stopped_runtime_is_rolled_back_and_starts_so(runtime: Runtime) -> None:
    change(runtime, MODEL="large")
    runtime.stop()
    assert runtime.rollback().status == "stopped"
    assert runtime.start().endpoints[0].live == [Share(1, 100)]


def test_an_endpoint_lives_from_create_to_delete(runtime: Runtime) -> None:
    change(runtime, MODEL="large")
    made = runtime.create_endpoint("canary", 1, {"allowed_cidrs": ["10.0.0.0/8"]})
    assert (made.status, made.version, made.pinned, made.access["allowed_cidrs"]) == ("active", 1, True, ["10.0.0.0/8"])
    assert [one.name for one in runtime.list_endpoints()] == ["DEFAULT", "canary"]
    assert runtime.get_endpoint("canary") == made == runtime.get_endpoint(made.id)
    assert runtime.stop_endpoint("canary").status == "stopped"
    assert runtime.start_endpoint("canary").status == "active"
    assert runtime.update_endpoint("canary", default=True).default
    assert runtime.default_endpoint().name == "canary"
    with pytest.raises(ConflictError):
        runtime.delete_endpoint("canary")
    runtime.delete_endpoint("DEFAULT")
    assert [one.name for one in runtime.endpoints] == ["canary"]
    with pytest.raises(NotFoundError):
        runtime.get_endpoint("DEFAULT")


def test_traffic_is_split(runtime: Runtime) -> None:
    change(runtime, MODEL="large")
    split = runtime.update_endpoint("DEFAULT", split={1: 90, 2: 10})
    assert (split.live, split.status) == ([Share(1, 90), Share(2, 10)], "active")
    assert runtime.rollback().live == [Share(2, 100)]
    with pytest.raises(ValidationError) as caught:
        runtime.update_endpoint("DEFAULT", split={1: 90, 2: 20})
    assert caught.value.errors[0].loc == ("split",)


def test_access_is_replaced_and_a_stale_copy_changes_nothing(runtime: Runtime) -> None:
    (default,) = runtime.endpoints
    changed = runtime.update_endpoint("DEFAULT", access={"rate_limit": {"requests": 5}}, expected_revision=1)
    assert changed.access["rate_limit"] == {"requests": 5, "per_seconds": 1}
    with pytest.raises(ConflictError):
        runtime.update_endpoint("DEFAULT", version=1, expected_revision=default.revision)


def test_a_taken_endpoint_name_is_told(runtime: Runtime) -> None:
    with pytest.raises(AlreadyExistsError):
        runtime.create_endpoint("default")


def test_an_endpoint_whose_version_does_not_start_says_why(runtime: Runtime) -> None:
    with pytest.raises(RuntimeFailed):
        change(runtime, **{FAULT: "exits_at_once"})
    with pytest.raises(
        RuntimeFailed, match=f'endpoint "canary" of runtime "{runtime.name}" failed: .*exited'
    ) as caught:
        runtime.create_endpoint("canary", 2)
    assert caught.value.reason == "exited"


def test_waiting_for_an_endpoint_ends_after_its_time(client: Roost, name: str) -> None:
    runtime = client.runtimes.create(name, "hello", env={FAULT: "never_healthy"}, wait=False)
    with pytest.raises(WaitTimeout, match=r'endpoint "canary" of runtime .* is still creating after 0\.2 s'):
        runtime.create_endpoint("canary", timeout=0.2)
    assert runtime.create_endpoint("other", wait=False).status == "creating"


def test_a_call_of_an_unknown_endpoint_is_not_found(runtime: Runtime) -> None:
    with pytest.raises(NotFoundError, match="missing"):
        runtime.call("GET", endpoint="missing")
    with pytest.raises(RoostError, match="belong to the default one"):
        runtime.call("GET", endpoint="DEFAULT", exposed_port=9000)


def test_flavors_are_made_used_changed_and_removed(client: Roost, name: str) -> None:
    made = client.flavors.create(name, 0.5, 512, "for tests")
    assert (made.available, made.description) == (True, "for tests")
    assert client.flavors.get(name) == made == next(iter(client.flavors.list()))
    runtime = client.runtimes.create(name, "hello", flavor=name)
    assert client.flavors.update(name, memory_mb=256, expected_revision=1).memory_mb == 256
    with pytest.raises(ConflictError):
        client.flavors.update(name, memory_mb=128, expected_revision=1)
    with pytest.raises(ConflictError):
        client.flavors.delete(name, expected_revision=1)
    client.flavors.delete(name)
    with pytest.raises(NotFoundError):
        client.flavors.get(name)
    version = runtime.get_version(1)
    assert (version.config["resources"]["flavor"], version.cpu_cores, version.memory_mb) == (name, 0.5, 512)
    with pytest.raises(ValidationError) as caught:
        client.runtimes.create(f"{name}-2", flavor=name)
    assert caught.value.errors[0].loc == ("config", "resources", "flavor")


async def test_the_same_with_await(async_client: AsyncRoost, name: str) -> None:
    runtime = await async_client.runtimes.create(name, "hello")
    await runtime.put_config(await runtime.get_config())
    assert (await runtime.rollback()).version == 1
    made = await runtime.create_endpoint("canary", 2)
    assert (await runtime.update_endpoint("canary", follow=True, split=None)).pinned is False
    await runtime.delete_endpoint(made.id)
    assert [one.name for one in await runtime.list_endpoints()] == ["DEFAULT"]
    assert [one.name async for one in async_client.flavors.list()]
