"""Build contexts: the tar a caller sent, as a folder, with nothing in it that reaches outside.

Python's own extraction filters came with 3.11.4; Debian 12 has 3.11.2, so the checks stand here.
"""

import errno
import os
import shutil
import tarfile
from pathlib import Path

from roost_server.domain import errors


def unpack(archive: Path, context: Path) -> None:
    """Fill `context` anew. Raises `Invalid` for a broken tar, one that leads outside, or a full disk."""
    shutil.rmtree(context, ignore_errors=True)
    context.mkdir()
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                _check(member, context.resolve())
                _own(member)
                tar.extract(member, context, numeric_owner=True)
    except (tarfile.TarError, EOFError, OSError) as error:
        full = getattr(error, "errno", None) == errno.ENOSPC
        reason = "disk_full" if full else "image_build_failed"
        raise errors.Invalid(f"cannot build the image: the context is not usable: {error}", reason=reason) from error


def _check(member: tarfile.TarInfo, context: Path) -> None:
    """Links may point anywhere, since the build reads them inside its own root; nothing is written through one."""
    if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
        raise tarfile.TarError(f"{member.name} is neither a file, a folder nor a link")
    names = [member.name, member.linkname] if member.islnk() else [member.name]
    for name in names:
        if not (context / name).parent.resolve().is_relative_to(context) or ".." in Path(name).parts:
            raise tarfile.TarError(f"{name} leads outside of the context")
    target = context / member.name
    if target.is_symlink() and not member.issym():
        raise tarfile.TarError(f"{member.name} would be written through a link")


def _own(member: tarfile.TarInfo) -> None:
    member.uid, member.gid = os.getuid(), os.getgid()
    member.mode = member.mode & 0o755 | 0o600 if not member.isdir() else 0o755
