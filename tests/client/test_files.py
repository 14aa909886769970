"""Directories as tars, archives as chunks."""

import io
import os
import socket
import tarfile
from pathlib import Path

import pytest
from roost import Progress, RoostError, files


def sent(folder: Path, dockerfile: str = "Dockerfile") -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(b"".join(files.context(folder, dockerfile, None)())))


def test_a_context_arrives_as_it_is(context: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (context / "empty").write_bytes(b"")
    (context / "block").write_bytes(b"x" * 512)
    (context / "large").write_bytes(os.urandom(3 * files.CHUNK + 17))
    (context / "run.sh").write_text("#!/bin/sh\n")
    (context / "run.sh").chmod(0o755)
    (context / "deep" / ("d" * 90) / ("e" * 90)).mkdir(parents=True)
    (context / "deep" / ("d" * 90) / ("e" * 90) / "ünï.txt").write_text("far")
    (context / "link").symlink_to("run.sh")
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(context)
        listener.bind("sock")
        with sent(context) as tar:
            names = tar.getnames()
            assert "sock" not in names
            assert tar.getmember("run.sh").mode == 0o755
            assert tar.getmember("link").linkname == "run.sh"
            assert f"deep/{'d' * 90}/{'e' * 90}/ünï.txt" in names
            for name in ("empty", "block", "large", "Dockerfile"):
                file = tar.extractfile(name)
                assert file is not None
                assert file.read() == (context / name).read_bytes()
            assert {(one.uid, one.gid) for one in tar.getmembers()} == {(0, 0)}


def test_what_is_ignored_is_not_sent_and_what_is_taken_back_is(context: Path) -> None:
    (context / ".dockerignore").write_text("**/*.log\nnode_modules\n!node_modules/kept\n")
    for name in ("a.log", "src/b.log", "src/main.py", "node_modules/x/y", "node_modules/kept/z"):
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        (context / name).write_text(name)
    with sent(context) as tar:
        found = [one.name for one in tar.getmembers() if one.isfile()]
    assert found == [".dockerignore", "Dockerfile", "node_modules/kept/z", "src/main.py"]


def test_the_same_body_can_be_sent_twice(context: Path) -> None:
    body = files.context(context, "Dockerfile", None)
    assert b"".join(body()) == b"".join(body())


@pytest.mark.parametrize("dockerfile", ["Dockerfile.other", "missing/Dockerfile"])
def test_a_missing_dockerfile_is_named(context: Path, dockerfile: str) -> None:
    with pytest.raises(RoostError, match=dockerfile):
        files.context(context, dockerfile, None)


def test_a_missing_directory_or_archive_is_named(tmp_path: Path) -> None:
    with pytest.raises(RoostError, match="nowhere: it is not a directory"):
        files.context(tmp_path / "nowhere", "Dockerfile", None)
    with pytest.raises(RoostError, match="No such file"):
        files.archive(tmp_path / "nothing.tar", None)


def test_an_archive_tells_how_much_was_sent(tmp_path: Path) -> None:
    (tmp_path / "image.tar").write_bytes(b"x" * (files.CHUNK + 1))
    seen: list[Progress] = []
    assert sum(len(chunk) for chunk in files.archive(tmp_path / "image.tar", seen.append)()) == files.CHUNK + 1
    assert seen[-1] == Progress("uploading", files.CHUNK + 1, files.CHUNK + 1)


def test_output_comes_in_whole_lines_whatever_the_chunks() -> None:
    lines: list[str] = []
    reader = files.LineReader(lines.append)
    for chunk in (b"STEP 1\nST", b"EP 2 \xc3", b"\xa4\r\nlast"):
        reader.feed(chunk)
    reader.finish()
    assert lines == ["STEP 1", "STEP 2 ä", "last"]
