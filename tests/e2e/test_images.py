"""Images from a Dockerfile to a running agent, by way of a registry with a password."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from roost import ConflictError, ImageFailed, Runtime, RuntimeFailed
from support import registry
from support.installation import Installation, until
from support.registry import Registry

from e2e.stories import image_folder, traffic, whoami

pytestmark = pytest.mark.slow

Deploy = Callable[..., Runtime]
USER, PASSWORD = "maria", "a-registry-password"

THIRD_PARTY = """
FROM builtin:runtime
RUN python3 -m venv /opt/agent
RUN /opt/agent/bin/pip install --no-cache-dir greennode-agentbase==1.0.3
COPY main.py /app/main.py
CMD ["/opt/agent/bin/python", "/app/main.py"]
"""
MAIN = """
from greennode_agentbase import GreenNodeAgentBaseApp

app = GreenNodeAgentBaseApp()

@app.entrypoint
def answer(payload):
    return {"shouted": payload["prompt"].upper()}

app.run(port=8080, host="0.0.0.0")
"""
OURS = """
FROM builtin:runtime
COPY agent.py /agent.py
ENV VERSION={version}
USER 1000:1000
CMD ["python3", "/agent.py"]
"""


@pytest.fixture(scope="session")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that wants a password."""
    with registry.running(tmp_path_factory.mktemp("registry"), user=(USER, PASSWORD)) as started:
        yield started


def test_a_third_partys_agent_goes_unmodified_from_dockerfile_to_answer(
    shared: Installation, private: Registry, own: Callable[..., Installation], tmp_path: Path
) -> None:
    folder = image_folder(tmp_path / "agent", THIRD_PARTY, main__py=MAIN)
    built = shared.cli("image", "build", str(folder), "-t", "third-party:v1")
    assert built.returncode == 0, built.stderr
    reference = f"{private.host}/team/third-party:v1"
    login = ("--registry-username", USER, "--registry-password-stdin")
    pushed = shared.cli("image", "push", "third-party:v1", reference, *login, stdin=PASSWORD)
    assert pushed.returncode == 0, pushed.stderr
    assert shared.cli("image", "rm", "third-party:v1").returncode == 0

    elsewhere = own(with_builtin=False).start()
    runtime = elsewhere.client.runtimes.create(
        "third-party", reference, registry_username=USER, registry_password=PASSWORD, memory_mb=512
    )
    assert runtime.status == "active"
    health = runtime.call("GET", "/health")
    assert (health.status_code, health.json()["status"]) == (200, "Healthy")
    answer = runtime.call("POST", "/invocations", json={"prompt": "hello"})
    assert (answer.status_code, answer.json()) == (200, {"shouted": "HELLO"})
    assert "password" not in runtime.get_config()["build"]["auth"]


def test_a_wrong_password_is_an_error_of_its_own(deploy: Deploy, private: Registry) -> None:
    with pytest.raises(RuntimeFailed) as failed:
        deploy(image=f"{private.host}/team/agent:v1", registry_username=USER, registry_password="wrong")
    assert failed.value.reason == "image_unauthorized"
    assert private.host in failed.value.message


def test_a_missing_password_is_the_same_error(deploy: Deploy, private: Registry) -> None:
    with pytest.raises(RuntimeFailed) as failed:
        deploy(image=f"{private.host}/team/agent:v1")
    assert failed.value.reason == "image_unauthorized"


def test_a_missing_tag_is_an_error_of_its_own(deploy: Deploy, private: Registry) -> None:
    with pytest.raises(RuntimeFailed) as failed:
        deploy(image=f"{private.host}/team/nothing:v9", registry_username=USER, registry_password=PASSWORD)
    assert failed.value.reason == "image_not_found"
    assert "team/nothing:v9" in failed.value.message


def test_a_registry_that_does_not_answer_is_told_and_tried_again(deploy: Deploy) -> None:
    runtime = deploy(image="localhost:1/team/agent:v1", wait=False)
    until(lambda: "localhost:1" in (runtime.refresh().message or ""))


def test_a_failed_build_shows_its_output(shared: Installation, tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "broken", "FROM builtin:runtime\nRUN echo compiling && false\n")
    lines: list[str] = []
    with pytest.raises(ImageFailed) as failed:
        shared.client.images.build(folder, "broken", on_line=lines.append)
    assert failed.value.reason == "image_build_failed"
    assert "compiling" in "\n".join(lines)


def test_an_update_to_another_image_moves_without_a_failed_request(
    deploy: Deploy, shared: Installation, tmp_path: Path
) -> None:
    source = (Path(__file__).parent / "agent.py").read_text()
    for version in ("1", "2"):
        folder = image_folder(tmp_path / version, OURS.format(version=version), agent__py=source)
        shared.client.images.build(folder, f"ours:{version}")
    runtime = deploy(image="ours:1", memory_mb=128)
    assert whoami(runtime)["version"] == "1"
    config = runtime.get_config()
    config["build"]["source"]["ref"] = "ours:2"
    with traffic(shared, runtime) as steady:
        steady.progress(25)
        runtime.put_config(config)
        assert whoami(runtime)["version"] == "2"
        until(lambda: len(runtime.list_replicas()) == 1)
        steady.progress(25)
    assert steady.failures == {}
    with pytest.raises(ConflictError):
        shared.client.images.delete("ours:2")
