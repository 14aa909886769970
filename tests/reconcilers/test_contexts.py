"""Build contexts: what is unpacked, and what is refused."""

import io
import tarfile
from pathlib import Path

import pytest
from roost_server.domain import errors
from roost_server.reconcilers import contexts


def archive_of(path: Path, *members: tuple[str, bytes, str]) -> Path:
    """A tar of (name, type, content or link target)."""
    with tarfile.open(path, "w:gz") as tar:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, content if kind != tarfile.REGTYPE else ""
            info.size = len(content) if kind == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(content.encode()))
    return path


def test_a_context_keeps_its_files_folders_and_links(tmp_path: Path) -> None:
    sent = archive_of(
        tmp_path / "sent.tar.gz",
        ("Dockerfile", tarfile.REGTYPE, "FROM builtin:runtime"),
        ("app", tarfile.DIRTYPE, ""),
        ("app/main.py", tarfile.REGTYPE, "print()"),
        ("app/current", tarfile.SYMTYPE, "main.py"),
    )
    contexts.unpack(sent, tmp_path / "context")
    assert (tmp_path / "context/Dockerfile").read_text() == "FROM builtin:runtime"
    assert (tmp_path / "context/app/current").read_text() == "print()"


@pytest.mark.parametrize(
    "members",
    [
        [("../escaped", tarfile.REGTYPE, "x")],
        [("/absolute", tarfile.REGTYPE, "x")],
        [("out", tarfile.SYMTYPE, "/etc"), ("out/passwd", tarfile.REGTYPE, "x")],
        [("out", tarfile.SYMTYPE, "../escaped"), ("out", tarfile.REGTYPE, "x")],
        [("hard", tarfile.LNKTYPE, "../../etc/passwd")],
        [("device", tarfile.CHRTYPE, "")],
    ],
    ids=["parent", "absolute", "through a link", "over a link", "hard link", "device"],
)
def test_nothing_leads_outside_of_the_context(tmp_path: Path, members: list[tuple[str, bytes, str]]) -> None:
    with pytest.raises(errors.Invalid, match="the context is not usable"):
        contexts.unpack(archive_of(tmp_path / "sent.tar.gz", *members), tmp_path / "context")
    assert not (tmp_path / "escaped").exists()


def test_a_broken_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sent").write_bytes(b"no tar at all")
    with pytest.raises(errors.Invalid, match="the context is not usable"):
        contexts.unpack(tmp_path / "sent", tmp_path / "context")
