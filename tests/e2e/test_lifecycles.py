"""What a runtime goes through, from its first container to the last trace of it."""

from collections.abc import Callable

import pytest
from roost import NotFoundError, Runtime, RuntimeFailed, ValidationError
from support.installation import Installation, until

from e2e.stories import BUILTIN, agent, traffic, whoami

pytestmark = pytest.mark.slow

Deploy = Callable[..., Runtime]


def texts(runtime: Runtime) -> list[str]:
    return [line.text for line in runtime.logs()]


def traces(roost: Installation, *names: str) -> list[str]:
    """What of these replicas, or of links and loop devices by number, is on the host."""
    return [one for one in roost.leftovers() if any(name in one for name in names)]


def test_a_runtime_is_created_stopped_started_and_deleted(deploy: Deploy) -> None:
    runtime = deploy(**agent(env={"VERSION": "1"}))
    assert (runtime.status, runtime.replicas.ready) == ("active", 1)
    first = whoami(runtime)
    assert first["version"] == "1"

    runtime.stop()
    assert (runtime.status, runtime.list_replicas()) == ("stopped", [])
    until(lambda: "stopping well" in texts(runtime))
    assert runtime.call("GET", "/whoami").status_code == 503

    runtime.start()
    assert runtime.status == "active"
    assert whoami(runtime)["replica"] != first["replica"]
    until(lambda: texts(runtime).count("version 1 listens on 8080") == 2)

    runtime.delete()
    with pytest.raises(NotFoundError):
        runtime.refresh()
    until(lambda: runtime.call("GET", "/whoami").status_code == 404)


def test_configuration_and_address_survive_a_stop(deploy: Deploy) -> None:
    runtime = deploy(**agent(labels={"team": "blue"}))
    before = (runtime.url, runtime.version, runtime.get_config())
    runtime.stop()
    runtime.start()
    assert (runtime.url, runtime.version, runtime.get_config()) == before


def test_nothing_of_a_deleted_runtime_stays_on_the_host(deploy: Deploy, shared: Installation) -> None:
    runtime = deploy(**agent())
    [replica] = runtime.list_replicas()
    kinds = {one.split()[0] for one in traces(shared, replica.id)}
    assert kinds == {"process", "cgroup", "mount", "loop", "folder"}
    links = [one for one in shared.leftovers() if one.startswith("link ")]
    runtime.delete()
    assert traces(shared, replica.id) == []
    assert len([one for one in shared.leftovers() if one in links]) == len(links) - 1


def test_every_phase_of_a_start_is_told(deploy: Deploy) -> None:
    [replica] = deploy(**agent()).list_replicas()
    assert set(replica.phases) == {"queued", "image", "disk", "network", "process", "health"}
    assert all(seconds >= 0 for seconds in replica.phases.values())


def test_a_process_that_ends_at_once_is_an_error_with_its_last_words(deploy: Deploy) -> None:
    with pytest.raises(RuntimeFailed) as failed:
        deploy(image=BUILTIN, command=["sh", "-c", "echo no model key; exit 3"], port=8080)
    assert failed.value.reason == "exited"
    assert "exited with code 3" in failed.value.message
    assert "no model key" in failed.value.message


def test_an_agent_that_never_becomes_healthy_is_an_error_with_its_answer(deploy: Deploy) -> None:
    options = agent(env={"HEALTH": "500"}, config={"health": {"start_timeout_seconds": 10}})
    with pytest.raises(RuntimeFailed) as failed:
        deploy(**options)
    assert failed.value.reason == "health_failed"
    assert "not healthy within 10 s" in failed.value.message
    assert "GET /health on port 8080 answered 500" in failed.value.message


def test_a_command_that_the_image_lacks_is_an_error_at_once(deploy: Deploy) -> None:
    with pytest.raises(RuntimeFailed) as failed:
        deploy(image=BUILTIN, command=["serve-the-agent"])
    assert failed.value.reason == "start_failed"
    assert '"serve-the-agent" is not found' in failed.value.message


def test_an_agent_that_eats_its_memory_is_told_so(deploy: Deploy) -> None:
    eat = "held = b'x' * (200 << 20)"
    with pytest.raises(RuntimeFailed) as failed:
        deploy(image=BUILTIN, command=["python3", "-c", eat], port=8080, memory_mb=64)
    assert failed.value.reason == "out_of_memory"
    assert "64 MiB" in failed.value.message


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"memory_mb": 16}, "memory_mb"),
        ({"memory_mb": 1_000_000}, "memory_mb"),
        ({"cpus": 127}, "cpu_cores"),
        ({"port": 70_000}, "port"),
        ({"port": 0}, "port"),
        ({"exposed_ports": [70_000]}, "sandbox"),
        ({"replicas": 11}, "min_replicas"),
    ],
)
def test_what_cannot_be_is_refused_and_the_field_named(deploy: Deploy, options: dict[str, object], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        deploy(image=BUILTIN, **options)
    assert refused.value.code == 422
    assert field in [part for error in refused.value.errors for part in error.loc]


def test_a_failed_runtime_is_mended_by_a_new_configuration(deploy: Deploy, shared: Installation) -> None:
    options = agent(command=["serve-the-agent"])
    with pytest.raises(RuntimeFailed):
        deploy(**options)
    [runtime] = shared.client.runtimes.list(status="error")
    config = runtime.get_config()
    config["process"]["command"] = agent()["command"]
    runtime.put_config(config)
    assert runtime.status == "active"
    assert whoami(runtime)["replica"]


def test_an_update_moves_the_traffic_without_a_failed_request(deploy: Deploy, shared: Installation) -> None:
    runtime = deploy(**agent(env={"VERSION": "1"}))
    config = runtime.get_config()
    config["runtime_server"]["env"]["VERSION"] = "2"
    with traffic(shared, runtime) as steady:
        steady.progress(50)
        runtime.put_config(config)
        assert whoami(runtime)["version"] == "2"
        until(lambda: len(runtime.list_replicas()) == 1)
        steady.progress(50)
    assert steady.failures == {}
    assert (runtime.status, runtime.version, runtime.endpoints[0].version) == ("active", 2, 2)


def test_updates_that_overtake_each_other_end_with_the_last(deploy: Deploy, shared: Installation) -> None:
    runtime = deploy(**agent(env={"VERSION": "1"}))
    config = runtime.get_config()
    with traffic(shared, runtime) as steady:
        for version in range(2, 7):
            config["runtime_server"]["env"]["VERSION"] = str(version)
            config["process"]["command"] = ["false"] if version == 4 else agent()["command"]
            runtime.put_config(config, wait=False)
            steady.progress(10)
        until(lambda: whoami(runtime)["version"] == "6")
        until(lambda: len(runtime.list_replicas()) == 1)
        steady.progress(10)
    assert steady.failures == {}
    until(lambda: (runtime.refresh().status, runtime.version) == ("active", 6))


def test_fewer_replicas_lose_no_request(deploy: Deploy, shared: Installation) -> None:
    runtime = deploy(**agent(replicas=3))
    config = runtime.get_config()
    config["autoscaling"] |= {"min_replicas": 1, "max_replicas": 1}
    with traffic(shared, runtime) as steady:
        steady.progress(25)
        runtime.put_config(config)
        until(lambda: len(runtime.list_replicas()) == 1)
        steady.progress(25)
    assert steady.failures == {}


def test_a_stopped_runtimes_new_configuration_waits_for_its_start(deploy: Deploy) -> None:
    runtime = deploy(**agent(env={"VERSION": "1"}))
    runtime.stop()
    config = runtime.get_config()
    config["runtime_server"]["env"]["VERSION"] = "2"
    runtime.put_config(config)
    assert (runtime.status, runtime.version, runtime.list_replicas()) == ("stopped", 2, [])
    runtime.start()
    assert whoami(runtime)["version"] == "2"


def test_a_broken_update_keeps_the_old_version_serving_and_says_why(deploy: Deploy, shared: Installation) -> None:
    runtime = deploy(**agent(env={"VERSION": "1"}))
    config = runtime.get_config()
    config["process"]["command"] = ["sh", "-c", "echo cannot find the prompt; exit 9"]
    with traffic(shared, runtime) as steady:
        steady.progress(25)
        with pytest.raises(RuntimeFailed) as failed:
            runtime.put_config(config)
        steady.progress(25)
    assert steady.failures == {}
    assert "version 1 keeps serving" in failed.value.message
    assert "cannot find the prompt" in failed.value.message
    assert whoami(runtime)["version"] == "1"
    assert runtime.endpoints[0].version == 1
