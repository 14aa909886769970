"""The command as a user types it: images."""

import json
from pathlib import Path

from client.conftest import Command


def test_an_image_is_built_listed_run_and_removed(roost: Command, context: Path, name: str) -> None:
    built = roost("image", "build", str(context), "-t", name, "--build-arg", "A=1")
    assert built.code == 0, built.err
    assert built.err.splitlines() == (context / "Dockerfile").read_text().splitlines()
    assert f"roost run --image {name}\n" in built.out
    rows = [line.split() for line in roost("image", "ls").out.splitlines()]
    assert [f"{name}:latest", "ready", "build"] in [row[:3] for row in rows]
    assert f"{name}:latest" in roost("image", "get", name).out
    assert roost("image", "rm", name).out == f"removed {name}\n"
    missing = roost("image", "get", name)
    assert (missing.code, f'cannot find image "{name}"' in missing.err) == (3, True)


def test_an_image_that_is_used_stays(roost: Command, context: Path, name: str) -> None:
    roost("image", "build", str(context), "-t", name)
    roost("run", "--name", name, "--image", name)
    refused = roost("image", "rm", name)
    assert (refused.code, "a runtime's version uses it" in refused.err) == (1, True)


def test_an_image_that_a_newer_one_of_its_name_replaced_is_told_from_it(
    roost: Command, context: Path, name: str
) -> None:
    for _ in range(2):
        roost("image", "build", str(context), "-t", name)
    lines = [line for line in roost("image", "ls").out.splitlines() if line.startswith(f"{name}:")]
    assert ["ready, replaced" in line for line in lines] == [False, True]


def test_a_dockerfile_may_be_named_from_here_or_from_the_context(roost: Command, context: Path, name: str) -> None:
    (context / "Other").write_text("FROM other\n")
    assert roost("image", "build", str(context), "-t", name, "-f", "Other").err == "FROM other\n"
    assert roost("image", "build", str(context), "-t", name, "-f", str(context / "Other")).err == "FROM other\n"
    missing = roost("image", "build", str(context), "-t", name, "-f", "Missing")
    assert (missing.code, "it holds no Missing" in missing.err) == (1, True)


def test_images_are_pulled_loaded_and_pushed(roost: Command, tmp_path: Path, name: str) -> None:
    pulled = roost("image", "pull", f"registry.example.com/{name}:v1", "--json")
    assert json.loads(pulled.out)["status"] == "ready"
    failed = roost("image", "pull", "registry.example.com/image_corrupt", "--json")
    assert failed.code == 1
    assert json.loads(failed.err) == {
        "code": None,
        "detail": json.loads(failed.err)["detail"],
        "type": "image_failed_error",
        "reason": "image_corrupt",
    }
    (tmp_path / "image.tar").write_text(name)
    assert f"{name}:latest is ready" in roost("image", "load", str(tmp_path / "image.tar"), "-t", name).out
    pushed = roost(
        *("image", "push", name, f"registry.example.com/{name}:v1"),
        *("--registry-username", "me", "--registry-password-stdin"),
        stdin="secret\n",
    )
    assert pushed.out == f"pushed registry.example.com/{name}:v1\n"
