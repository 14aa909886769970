"""Engines and images that misbehave by name, and what a person is then told."""

import pytest
from roost_server.domain.access import Access
from roost_server.domain.replica import Box, ReplicaSpec
from roost_server.domain.runtime import Status
from roost_server.operations import endpoints
from support.platform import Rig
from support.waiting import eventually

QUICK_HEALTH = {"health": {"start_timeout_seconds": 1}}


async def test_a_create_cut_off_after_the_box_was_made_finds_its_box_again(rig: Rig) -> None:
    await rig.create("agent", fault="crash_after_create")
    await rig.until("agent", Status.ACTIVE)
    assert len(await rig.boxes()) == 1


async def test_an_engine_that_cannot_be_reached_once_is_asked_again(rig: Rig) -> None:
    await rig.create("agent", fault="unavailable_once")
    await rig.until("agent", Status.ACTIVE)


async def test_an_engine_that_cannot_be_reached_is_named_and_nothing_is_lost(rig: Rig) -> None:
    await rig.create("agent", fault="unavailable")

    async def told() -> bool:
        runtime = (await rig.view("agent")).runtime
        return runtime.reason == "engine_unavailable" and "cannot reach the engine" in (runtime.message or "")

    await eventually(told)
    assert (await rig.view("agent")).runtime.status == Status.CREATING


async def test_a_process_that_exits_at_once_gives_error_with_its_code_and_last_lines(rig: Rig) -> None:
    await rig.create("agent", fault="exits_at_once")
    view = await rig.until("agent", Status.ERROR)
    assert view.runtime.reason == "exited"
    assert "exited with code 1" in (view.runtime.message or "")
    assert "exiting with 1" in (view.runtime.message or "")


async def test_a_failure_from_before_a_new_try_is_not_told_of_it(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.engine.fault("exits_at_once")
    await rig.create("agent")
    await rig.until("agent", Status.ERROR)
    delete, create = rig.engine.delete, rig.engine.create
    reasons: list[str | None] = []

    async def while_somebody_asks_for_another_try(replica_id: str, *, force: bool = False) -> None:
        rig.engine.fault(None)
        monkeypatch.setattr(rig.engine, "delete", delete)
        await rig.act("start", "agent")
        await delete(replica_id, force=force)

    async def look(replica: ReplicaSpec) -> Box:
        reasons.extend([one.reason for one in await rig.replicas("agent")])
        return await create(replica)

    monkeypatch.setattr(rig.engine, "delete", while_somebody_asks_for_another_try)
    monkeypatch.setattr(rig.engine, "create", look)
    await rig.until("agent", Status.ACTIVE)
    assert reasons[-1] == "waiting"


async def test_a_replica_that_keeps_exiting_is_started_again_ever_later(rig: Rig) -> None:
    await rig.create("agent", fault="exits_at_once")

    async def failed_thrice() -> list[str]:
        said = [event.message for event in await rig.events("agent") if event.type == "replica.failed"]
        return said if len(said) >= 3 else []

    said = await eventually(failed_thrice)
    assert [message.rsplit("; ", 1)[1] for message in said[:3]] == [
        "starting again at once",
        "starting again in 1 s",
        "starting again in 2 s",
    ]
    (replica,) = await rig.replicas("agent")
    assert replica.restarts >= 2 and replica.exit_code == 1

    async def one_box() -> bool:
        """There is none for a moment whenever it starts again."""
        return await rig.boxes() == {replica.id}

    await eventually(one_box)


async def test_a_replica_that_is_never_healthy_is_given_up_with_the_probes_answer(rig: Rig) -> None:
    await rig.create("agent", fault="never_healthy", **QUICK_HEALTH)
    view = await rig.until("agent", Status.ERROR)
    assert view.runtime.reason == "health_failed"
    assert view.runtime.message == "not healthy within 1 s: GET /health answered 500"


async def test_a_replica_killed_at_its_memory_limit_says_so_and_what_to_do(rig: Rig) -> None:
    await rig.create("agent", fault="out_of_memory", resources={"memory_mb": 128})
    view = await rig.until("agent", Status.ERROR)
    assert view.runtime.reason == "out_of_memory"
    assert "memory limit of 128 MiB; give it more memory_mb" in (view.runtime.message or "")


async def test_a_command_that_cannot_be_started_is_an_error_that_waits_for_a_change(rig: Rig) -> None:
    await rig.create("agent", fault="start_fails")
    view = await rig.until("agent", Status.ERROR)
    assert (view.runtime.reason, view.runtime.message) == (
        "start_failed",
        "cannot start the replica: the command was not found",
    )
    await rig.update("agent")
    await rig.until("agent", Status.ACTIVE)
    await eventually(lambda: only_version(rig, 2))


async def only_version(rig: Rig, number: int) -> bool:
    return [replica.version for replica in await rig.replicas("agent")] == [number]


async def test_a_slow_stop_is_waited_for(rig: Rig) -> None:
    await rig.create("agent", fault="slow_to_delete")
    await rig.until("agent", Status.ACTIVE)
    await rig.act("stop", "agent")
    await rig.until("agent", Status.STOPPED)
    assert await rig.boxes() == set()


@pytest.mark.parametrize(
    "reason", ["image_not_found", "image_unauthorized", "image_architecture", "image_corrupt", "image_invalid"]
)
async def test_an_image_that_cannot_be_had_is_an_error_with_its_reason(rig: Rig, reason: str) -> None:
    reference = f"registry.example.com/team/{reason}"
    await rig.create("agent", image=reference)
    view = await rig.until("agent", Status.ERROR)
    assert view.runtime.reason == reason
    assert view.runtime.message == f"cannot pull {reference}:latest: simulated {reason}"
    assert await rig.boxes() == set()


async def test_start_lets_a_failed_image_be_tried_again(rig: Rig) -> None:
    await rig.create("agent", image="registry.example.com/team/image_not_found")
    await rig.until("agent", Status.ERROR)
    rig.images.heal()
    view = await rig.act("start", "agent")
    assert view.runtime.status == Status.STARTING
    await rig.until("agent", Status.ACTIVE)


@pytest.mark.parametrize("verb", ["start", "restart"])
async def test_a_failed_image_of_a_version_that_an_endpoint_is_pinned_to_is_tried_again(rig: Rig, verb: str) -> None:
    await rig.create("agent")
    await rig.until("agent", Status.ACTIVE)
    await rig.update("agent", image="registry.example.com/team/image_not_found")
    await rig.until("agent", Status.ERROR)
    await rig.update("agent")
    await rig.until("agent", Status.ACTIVE)
    await endpoints.create(rig.context, rig.caller, "agent", "second", 2, Access())
    await rig.until("agent", Status.ERROR)
    rig.images.heal()
    await rig.act(verb, "agent")
    await rig.until("agent", Status.ACTIVE)


async def test_an_image_that_comes_after_all_brings_up_every_runtime_that_gave_up_for_it(rig: Rig) -> None:
    await rig.kill()
    for name in ("one", "other"):
        await rig.create(name, image="registry.example.com/team/image_not_found")
    await rig.revive()
    for name in ("one", "other"):
        await rig.until(name, Status.ERROR)
    rig.images.heal()
    await rig.act("start", "one")
    await rig.until("one", Status.ACTIVE)
    await rig.until("other", Status.ACTIVE)


async def test_start_of_a_still_failing_image_says_so_again(rig: Rig) -> None:
    await rig.create("agent", image="registry.example.com/team/image_not_found")
    await rig.until("agent", Status.ERROR)
    await rig.act("start", "agent")
    view = await rig.until("agent", Status.ERROR)
    assert view.runtime.reason == "image_not_found"


async def test_a_good_image_after_a_bad_one_makes_the_runtime_active(rig: Rig) -> None:
    await rig.create("agent", image="registry.example.com/team/image_not_found")
    await rig.until("agent", Status.ERROR)
    await rig.update("agent", image="registry.example.com/team/agent:v2")
    await rig.until("agent", Status.ACTIVE)
    await eventually(lambda: only_version(rig, 2))


async def test_deploys_at_once_of_one_image_pull_it_once(rig: Rig) -> None:
    await rig.kill()
    for name in ("one", "two", "three"):
        await rig.create(name, image="registry.example.com/team/agent:v1")
    await rig.revive()
    for name in ("one", "two", "three"):
        await rig.until(name, Status.ACTIVE)
    assert list(rig.images.pulled) == ["registry.example.com/team/agent:v1"]


async def test_an_image_that_the_machine_lost_is_fetched_again(rig: Rig) -> None:
    await rig.create("agent", image="registry.example.com/agent", fault="image_lost_once")
    await rig.until("agent", Status.ACTIVE)
    assert "replica.failed" in await rig.event_types("agent")
