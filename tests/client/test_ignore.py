"""What .dockerignore leaves out. The cases are those of Docker's build reference and of moby/patternmatcher."""

from pathlib import Path

import pytest
from roost import RoostError, ignore
from roost.ignore import Ignore


@pytest.mark.parametrize(
    ("text", "path", "left_out"),
    [
        ("*.md", "README.md", True),
        ("*.md", "docs/README.md", False),
        ("**/*.md", "README.md", True),
        ("**/*.md", "docs/deep/README.md", True),
        ("docs", "docs", True),
        ("docs", "docs/a/b", True),
        ("docs", "src/docs", False),
        ("docs/", "docs/a", True),
        ("/docs", "docs/a", True),
        ("./docs/../docs", "docs/a", True),
        ("*/temp*", "some/temporary", True),
        ("*/temp*", "some/temporary/file", True),
        ("*/temp*", "temporary", False),
        ("temp?", "tempa", True),
        ("temp?", "temp", False),
        ("temp?", "temp/x", False),
        ("a[0-9].txt", "a7.txt", True),
        ("a[^0-9].txt", "a7.txt", False),
        ("a\\*b", "a*b", True),
        ("a\\*b", "axb", False),
        ("a.b", "axb", False),
        ("**", "anything/at/all", True),
        ("**/node_modules", "a/node_modules/b", True),
        ("dir/**/x", "dir/x", True),
        ("dir/**/x", "dir/a/b/x", True),
        ("*.md\n!README.md", "README.md", False),
        ("*.md\n!README.md", "OTHER.md", True),
        ("!README.md\n*.md", "README.md", True),
        ("docs\n!docs/keep", "docs/keep", False),
        ("docs\n!docs/keep", "docs/drop", True),
        ("*\n!src\nsrc/secret", "src/main.py", False),
        ("*\n!src\nsrc/secret", "src/secret", True),
        ("# docs\n\n  src  ", "src", True),
        ("# docs", "docs", False),
    ],
)
def test_patterns(text: str, path: str, left_out: bool) -> None:
    assert Ignore(ignore.parse(text), set()).excludes(path) == left_out


def test_a_pattern_that_cannot_be_read_is_named() -> None:
    with pytest.raises(RoostError, match=r"\[z-a\]"):
        ignore.parse("[z-a]")


def test_the_dockerfile_is_always_sent_and_may_have_an_ignore_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_text("*")
    found = ignore.read_ignore(tmp_path, "Dockerfile")
    assert not found.excludes("Dockerfile")
    assert not found.excludes(".dockerignore")
    assert found.excludes("main.py")
    (tmp_path / "Dockerfile.dockerignore").write_text("other")
    assert not ignore.read_ignore(tmp_path, "Dockerfile").excludes("main.py")


def test_a_folder_is_looked_into_only_when_something_in_it_may_be_sent(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_text("node_modules\nbuild")
    plain = ignore.read_ignore(tmp_path, "build/Dockerfile")
    assert not plain.may_hold("node_modules")
    assert plain.may_hold("build")
    assert Ignore(ignore.parse("node_modules\n!node_modules/x"), set()).may_hold("node_modules")
