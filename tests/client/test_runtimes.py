"""Stories of the blocking client against a real server with simulated boxes."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from roost import (
    AlreadyExistsError,
    ConflictError,
    LogLine,
    NotFoundError,
    Roost,
    RoostError,
    Runtime,
    RuntimeFailed,
    ValidationError,
    WaitTimeout,
)
from roost.calls import Call
from roost.models import RuntimeState

FAULT = "ROOST_SIMULATED_FAULT"


@pytest.fixture
def runtime(client: Roost, name: str) -> Iterator[Runtime]:
    yield client.runtimes.create(name, "hello", env={"MODEL": "small"})


def test_a_runtime_lives_from_create_to_delete(client: Roost, name: str) -> None:
    runtime = client.runtimes.create(name, "registry.example.com/team/hello:v1", labels={"team": name}, description="d")
    assert (runtime.status, runtime.version, runtime.description) == ("active", 1, "d")
    assert (runtime.replicas.wanted, runtime.replicas.ready) == (1, 1)
    assert runtime.alias_url == runtime.url.replace(runtime.id, f"{name}--default--default")
    assert runtime.created_at <= datetime.now(UTC)
    assert [one.name for one in runtime.endpoints] == ["DEFAULT"]
    assert [one.id for one in client.runtimes.list(label=f"team={name}")] == [runtime.id]

    runtime.stop()
    assert runtime.status == "stopped"
    assert [one.status for one in client.runtimes.list(status=["stopped"], label=f"team={name}")] == ["stopped"]
    assert client.runtimes.get(name).start().status == "active"

    runtime.delete()
    with pytest.raises(NotFoundError):
        client.runtimes.get(name)


def test_without_an_image_it_is_the_builtin(client: Roost, name: str) -> None:
    assert client.runtimes.create(name).image().reference == "builtin:runtime"


def test_lists_go_on_over_pages(client: Roost, name: str) -> None:
    for number in range(3):
        client.runtimes.create(f"{name}-{number}", labels={"story": name}, wait=False)
    found = client._transport.items(RuntimeState, Call("GET", "/runtimes", {"limit": 1, "label": f"story={name}"}))
    assert len(list(found)) == 3


def test_a_taken_name_and_a_bad_name_are_told_apart(client: Roost, runtime: Runtime) -> None:
    with pytest.raises(AlreadyExistsError):
        client.runtimes.create(runtime.name)
    with pytest.raises(ValidationError) as caught:
        client.runtimes.create("Not A Name")
    assert caught.value.errors[0].loc == ("name",)


def test_a_wrong_value_names_its_field(client: Roost, name: str) -> None:
    with pytest.raises(ValidationError) as caught:
        client.runtimes.create(name, memory_mb=1)
    assert caught.value.errors[0].loc == ("config", "resources", "memory_mb")


def test_a_runtime_that_cannot_start_says_why(client: Roost, name: str) -> None:
    with pytest.raises(RuntimeFailed) as caught:
        client.runtimes.create(name, env={FAULT: "exits_at_once"})
    assert caught.value.reason == "exited"
    assert f'"{name}"' in str(caught.value)
    assert client.runtimes.get(name).status == "error"


def test_an_image_that_does_not_exist_says_so(client: Roost, name: str) -> None:
    with pytest.raises(RuntimeFailed) as caught:
        client.runtimes.create(name, "registry.example.com/image_not_found")
    assert caught.value.reason == "image_not_found"


def test_waiting_ends_after_its_time_and_the_work_goes_on(client: Roost, name: str) -> None:
    with pytest.raises(WaitTimeout, match=r"still creating after 0\.3 s") as caught:
        client.runtimes.create(name, "hello", env={FAULT: "never_healthy"}, timeout=0.3)
    assert isinstance(caught.value, TimeoutError)
    assert client.runtimes.get(name).status == "creating"


def test_every_look_while_waiting_is_shown(client: Roost, name: str) -> None:
    seen: list[str] = []
    client.runtimes.create(name, on_change=lambda now: seen.append(now.status))
    assert seen[-1] == "active"


def test_a_command_runs_with_its_surroundings(runtime: Runtime) -> None:
    assert runtime.exec(["echo", "hello", "world"]).stdout == "hello world\n"
    assert runtime.exec(["cat"], stdin="täxt").stdout == "täxt"
    variables = runtime.exec(["env"], env={"EXTRA": "1"}).stdout.splitlines()
    assert {"MODEL=small", "EXTRA=1"} <= set(variables)
    assert runtime.exec(["false"]).exit_code == 1
    assert runtime.exec(["nothing"]).exit_code == 127
    cut = runtime.exec(["echo", "long"], max_output_bytes=2)
    assert (cut.stdout, cut.stdout_truncated) == ("lo", True)
    late = runtime.exec(["sleep", "5"], timeout=0.1)
    assert (late.exit_code, late.timed_out) == (124, True)


def test_a_text_is_for_the_shell(runtime: Runtime) -> None:
    assert '"sh" was not found' in runtime.exec("echo $HOME | wc").stderr


def test_a_command_in_a_stopped_runtime_is_a_conflict(runtime: Runtime) -> None:
    runtime.stop()
    with pytest.raises(ConflictError, match="it is stopped"):
        runtime.exec(["true"])


def test_a_new_configuration_is_a_new_version(runtime: Runtime) -> None:
    config = runtime.get_config()
    assert config["runtime_server"] == {"env": {"MODEL": "small"}}
    config["resources"]["memory_mb"] = 256
    runtime.put_config(config, expected_revision=runtime.revision)
    assert (runtime.status, runtime.version, runtime.stale) == ("active", 2, False)
    versions = list(runtime.list_versions())
    assert [one.version for one in versions] == [2, 1]
    assert [one.config["resources"]["memory_mb"] for one in versions] == [256, 1024]
    with pytest.raises(ConflictError, match="If-Match"):
        runtime.put_config(config, expected_revision=1)


def test_a_description_changes_and_a_stale_copy_does_not(runtime: Runtime) -> None:
    revision = runtime.revision
    assert runtime.describe("new", expected_revision=revision).description == "new"
    with pytest.raises(ConflictError):
        runtime.describe("newer", expected_revision=revision)
    with pytest.raises(ConflictError):
        runtime.delete(expected_revision=revision)


def test_replicas_and_events_tell_the_start(runtime: Runtime) -> None:
    (replica,) = runtime.list_replicas()
    assert (replica.status, replica.routed) == ("ready", True)
    assert {"queued", "image", "disk", "network", "process", "health"} == set(replica.phases)
    assert replica.ready_at is not None
    assert [one.type for one in runtime.list_events()][-1] == "runtime.created"


def test_logs_are_searched_and_followed(runtime: Runtime) -> None:
    runtime.stop()
    runtime.start()
    lines = list(runtime.logs())
    assert [line.text for line in lines] == ["started the image"] * 2
    assert list(runtime.logs(order="desc")) == lines[::-1]
    assert list(runtime.logs(contains="STARTED", stream="stdout", replica=lines[1].replica_id)) == lines[1:]
    assert list(runtime.logs(stream="stderr")) == []
    assert list(runtime.logs(until=timedelta(hours=1))) == []
    page = runtime.log_page(limit=1)
    assert (page.items, page.next_cursor is not None) == (lines[:1], True)
    assert runtime.log_page(limit=1, cursor=page.next_cursor).items == lines[1:]
    following = runtime.follow_logs(since="1h")
    assert [next(following), next(following)] == lines


def test_following_sees_what_is_written_later(client: Roost, runtime: Runtime) -> None:
    restarted = threading.Thread(target=lambda: client.runtimes.get(runtime.id).stop().start())
    lines: list[LogLine] = []
    for line in runtime.follow_logs(since=timedelta(hours=1)):
        lines.append(line)
        if len(lines) == 1:
            restarted.start()
        if len(lines) == 2:
            break
    restarted.join()
    assert lines[0].replica_id != lines[1].replica_id


def test_following_something_unknown_is_not_found(runtime: Runtime) -> None:
    runtime.delete()
    with pytest.raises(NotFoundError):
        next(runtime.follow_logs())


def test_a_time_that_is_none_is_refused(runtime: Runtime) -> None:
    with pytest.raises(RoostError, match="yesterday"):
        runtime.logs(since="yesterday")


def test_an_old_object_never_touches_a_new_runtime_of_the_same_name(client: Roost, runtime: Runtime) -> None:
    client.runtimes.delete(runtime.name)
    client.runtimes.create(runtime.name)
    with pytest.raises(NotFoundError):
        runtime.stop()
    assert client.runtimes.get(runtime.name).status == "active"
