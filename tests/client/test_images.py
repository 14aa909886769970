"""Stories of images."""

from pathlib import Path

import pytest
from roost import ConflictError, ImageFailed, NotFoundError, Progress, Roost, ValidationError


def test_an_image_is_built_and_run(client: Roost, context: Path, name: str) -> None:
    output: list[str] = []
    image = client.images.build(context, f"team/{name}:v1", on_line=output.append)
    assert (image.reference, image.status, image.source) == (f"team/{name}:v1", "ready", "build")
    assert output == (context / "Dockerfile").read_text().splitlines()
    runtime = client.runtimes.create(name, f"team/{name}:v1")
    assert runtime.image().id == image.id
    with pytest.raises(ConflictError, match="a runtime's version uses it"):
        client.images.delete(f"team/{name}:v1")


def test_an_image_is_found_by_each_of_its_names(client: Roost, context: Path, name: str) -> None:
    image = client.images.build(context, f"team/{name}")
    assert image.digest is not None
    for known in (f"team/{name}", f"team/{name}:latest", image.id, image.digest):
        assert client.images.get(known).digest == image.digest
    for unknown in ("nobody", f"team/{name}:other"):
        with pytest.raises(NotFoundError, match="cannot find image"):
            client.images.get(unknown)


def test_another_dockerfile_is_built(client: Roost, context: Path, name: str) -> None:
    (context / "docker").mkdir()
    (context / "docker/Slim").write_text("FROM slim\n")
    output: list[str] = []
    client.images.build(context, name, dockerfile="docker/Slim", build_args={"A": "1"}, on_line=output.append)
    assert output == ["FROM slim"]


def test_a_pull_shows_its_progress_and_its_end(client: Roost, name: str) -> None:
    seen: list[Progress] = []
    image = client.images.pull(f"registry.example.com/{name}:v1", on_progress=seen.append)
    assert (image.status, image.source) == ("ready", "pull")
    assert seen


def test_a_pull_that_fails_says_why(client: Roost) -> None:
    with pytest.raises(ImageFailed) as caught:
        client.images.pull("registry.example.com/image_unauthorized", username="me", password="pw")
    assert caught.value.reason == "image_unauthorized"


def test_an_image_is_loaded_and_pushed(client: Roost, tmp_path: Path, name: str) -> None:
    (tmp_path / "image.tar").write_text(f"archive of {name}")
    image = client.images.load(tmp_path / "image.tar", name)
    assert (image.reference, image.status) == (f"{name}:latest", "ready")
    push = client.images.push(name, f"registry.example.com/{name}:v1", username="me", password="pw")
    assert push.status == "ready"
    with pytest.raises(ValidationError, match="name the registry"):
        client.images.push(name, name)


def test_the_list_is_newest_first(client: Roost, context: Path, name: str) -> None:
    older = client.images.build(context, name)
    (context / "Dockerfile").write_text(f"FROM newer\n# {name}\n")
    newer = client.images.build(context, f"{name}-newer")
    found = [one.id for one in client.images.list()]
    assert found.index(newer.id) < found.index(older.id)
