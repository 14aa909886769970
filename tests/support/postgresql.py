"""A private PostgreSQL: Debian's, on a free port of the loopback address, with a data directory under /tmp."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from support import ports

ACCOUNT = "postgres"
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200")


def binaries() -> Path:
    """Where Debian puts initdb and postgres: the newest version's folder."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    if not found:
        pytest.fail("cannot test on PostgreSQL: it is not installed; run `apt-get install postgresql`", pytrace=False)
    return found[-1].parent


class PostgreSQL:
    """A running server. `database()` makes a database, empty or a copy of another, and gives its URL."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def database(self, template: str = "template1") -> str:
        name = f"roost_{uuid.uuid4().hex}"
        connection = await asyncpg.connect(host="127.0.0.1", port=self._port, user=ACCOUNT, database="postgres")
        try:
            await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        finally:
            await connection.close()
        return f"postgresql://{ACCOUNT}@127.0.0.1:{self._port}/{name}"


@contextmanager
def running() -> Iterator[PostgreSQL]:
    """A server for as long as the block lasts; nothing of it stays."""
    programs, folder = binaries(), Path(tempfile.mkdtemp(prefix="roost-postgresql-"))
    account = ACCOUNT if os.geteuid() == 0 else None
    if account is not None:
        os.chown(folder, pwd.getpwnam(account).pw_uid, -1)
    try:
        _run(programs / "initdb", "-D", str(folder / "data"), "-U", ACCOUNT, "-A", "trust", "-N", account=account)
        with _serving(programs / "postgres", folder, account) as port:
            yield PostgreSQL(port)
    finally:
        shutil.rmtree(folder)


@contextmanager
def _serving(program: Path, folder: Path, account: str | None) -> Iterator[int]:
    [port] = ports.free(1)
    options = [f"--{option}" for option in (*FAST, f"unix_socket_directories={folder}", "listen_addresses=127.0.0.1")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "-D", folder / "data", "-p", str(port), *options], stdout=log, stderr=log, user=account
        )
    try:
        _run(program.parent / "pg_isready", "-h", "127.0.0.1", "-p", str(port), until=process)
        yield port
    finally:
        process.send_signal(signal.SIGINT)  # its fast shutdown, which waits for no client
        process.wait()


def _run(*command: Path | str, account: str | None = None, until: subprocess.Popen[bytes] | None = None) -> None:
    """Run to success; with `until`, again and again while that process lives."""
    while True:
        done = subprocess.run(command, user=account, cwd="/", capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        if until is None or until.poll() is not None:
            pytest.fail(f"cannot start PostgreSQL: {command[0]} said {done.stdout}{done.stderr}", pytrace=False)
