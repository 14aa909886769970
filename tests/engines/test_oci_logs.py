"""Logs of boxes: found quickly in large files, kept within their limit, never losing a line that was kept."""

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from machine import OciSubject, TinyImages, spec
from roost_server.domain import errors
from roost_server.domain.log import LogLine, LogQuery
from roost_server.engines.oci.logs import logs
from roost_server.engines.oci.logs.logfile import ReplicaLog
from roost_server.engines.oci.settings import OciSettings
from support.waiting import eventually

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def _written(number: int, stream: str, mark: str, text: str | bytes) -> bytes:
    """A line as conmon writes it, `number` milliseconds after the start."""
    time = (START + timedelta(milliseconds=number)).strftime("%Y-%m-%dT%H:%M:%S.%f789+00:00")
    raw = text.encode() if isinstance(text, str) else text
    return f"{time} {stream} {mark} ".encode() + raw + b"\n"


def _fill(directory: Path, *segments: bytes) -> ReplicaLog:
    """A replica's log of these segments."""
    log = ReplicaLog(directory)
    for data in segments:
        log.begin().write_bytes(data)
    return log


def _replace(directory: Path, data: bytes) -> None:
    """As conmon does at its size limit."""
    replacement = directory / "current.log.tmp"
    replacement.write_bytes(data)
    replacement.replace(directory / "current.log")


def _texts(lines: list[LogLine]) -> list[str]:
    return [line.text for line in lines]


def _all_pages(directory: Path, **query: object) -> list[LogLine]:
    lines: list[LogLine] = []
    cursor = None
    while True:
        page = logs.read(directory, LogQuery(cursor=cursor, **query))  # type: ignore[arg-type]
        lines += page.lines
        cursor = page.next_cursor
        if cursor is None:
            return lines


def test_pieces_of_a_line_are_joined_by_stream(tmp_path: Path) -> None:
    data = _written(0, "stdout", "P", "one ") + _written(1, "stderr", "F", "between") + _written(2, "stdout", "F", "1")
    _fill(tmp_path / "r", data + _written(3, "stdout", "P", "unfinished"))
    assert _texts(logs.read(tmp_path, LogQuery()).lines) == ["between", "one 1", "unfinished"]
    assert _texts(logs.read(tmp_path, LogQuery(order="desc")).lines) == ["unfinished", "one 1", "between"]


def test_bytes_that_are_no_text_are_replaced(tmp_path: Path) -> None:
    _fill(tmp_path / "r", _written(0, "stdout", "F", b"caf\xe9 \xc3\xa9"))
    assert _texts(logs.read(tmp_path, LogQuery()).lines) == ["caf\ufffd é"]


def test_a_search_ignores_case_also_beyond_ascii(tmp_path: Path) -> None:
    _fill(tmp_path / "r", _written(0, "stdout", "F", "ÉTUDE") + _written(1, "stdout", "F", "Other"))
    assert _texts(logs.read(tmp_path, LogQuery(contains="étude")).lines) == ["ÉTUDE"]
    assert _texts(logs.read(tmp_path, LogQuery(contains="OTHER")).lines) == ["Other"]


def test_garbage_is_left_out(tmp_path: Path) -> None:
    data = _written(0, "stdout", "F", "before") + b"\0\0\0garbage\n" + _written(1, "stdout", "F", "after") + b"2026-01"
    _fill(tmp_path / "r", data)
    assert _texts(logs.read(tmp_path, LogQuery()).lines) == ["before", "after"]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_hold_every_line_once_across_replicas_and_segments(tmp_path: Path, order: str) -> None:
    rows = [_written(number // 3, "stdout" if number % 5 else "stderr", "F", f"line {number}") for number in range(900)]
    _fill(tmp_path / "a", b"".join(rows[0:600:2]), b"".join(rows[600::2]))
    _fill(tmp_path / "b", b"".join(rows[1:300:2]), b"".join(rows[301::2]))
    whole = logs.read(tmp_path, LogQuery(order=order, limit=1000)).lines  # type: ignore[arg-type]
    assert len(whole) == 900
    assert _all_pages(tmp_path, order=order, limit=7) == whole
    times = [line.time for line in whole]
    assert times == sorted(times, reverse=order == "desc")


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_time_window_in_a_large_log_is_exact(tmp_path: Path, order: str) -> None:
    _fill(tmp_path / "r", b"".join(_written(number, "stdout", "F", f"line {number}") for number in range(50_000)))
    since, until = START + timedelta(milliseconds=30_000), START + timedelta(milliseconds=30_009, microseconds=999)
    found = _texts(logs.read(tmp_path, LogQuery(since=since, until=until, order=order)).lines)  # type: ignore[arg-type]
    assert found == [f"line {number}" for number in range(30_000, 30_010)][:: 1 if order == "asc" else -1]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_needle_in_a_large_log_is_found(tmp_path: Path, order: str) -> None:
    rows = [_written(number, "stdout", "F", "hay " * 20) for number in range(40_000)]
    rows[12_345] = _written(12_345, "stderr", "F", "a Needle here")
    _fill(tmp_path / "r", b"".join(rows))
    page = logs.read(tmp_path, LogQuery(contains="needle", order=order))  # type: ignore[arg-type]
    assert _texts(page.lines) == ["a Needle here"]


def test_the_tail_of_a_large_log_is_its_last_lines(tmp_path: Path) -> None:
    log = _fill(tmp_path / "r", b"".join(_written(number, "stdout", "F", f"line {number}") for number in range(50_000)))
    assert logs.tail(log, 3) == ["line 49997", "line 49998", "line 49999"]


def test_a_very_long_line_comes_in_pieces_but_whole(tmp_path: Path) -> None:
    pieces = [_written(number, "stdout", "P", "x" * 8000) for number in range(100)]
    _fill(tmp_path / "r", b"".join(pieces) + _written(100, "stdout", "F", "end"))
    last = logs.read(tmp_path, LogQuery(order="desc", limit=1)).lines[0]
    assert last.text.endswith("xend")


def test_a_cursor_that_is_none_is_a_bad_request(tmp_path: Path) -> None:
    _fill(tmp_path / "r", _written(0, "stdout", "F", "line"))
    for cursor in ("nonsense", "!!!", "YQ"):
        with pytest.raises(errors.BadRequest, match=r"^cannot "):
            logs.read(tmp_path, LogQuery(cursor=cursor))


def test_the_oldest_segments_go_first(tmp_path: Path) -> None:
    log = _fill(tmp_path / "r", *(_written(number, "stdout", "F", f"line {number}") for number in range(5)))
    log.keep(2 * len(_written(0, "stdout", "F", "line 0")))
    assert _texts(logs.read(tmp_path, LogQuery()).lines) == ["line 2", "line 3", "line 4"]


def test_a_file_that_conmon_replaced_is_kept_under_its_number(tmp_path: Path) -> None:
    log = _fill(tmp_path / "r", _written(0, "stdout", "F", "old"))
    cursor = logs.read(tmp_path, LogQuery()).lines[0].cursor
    _replace(tmp_path / "r", _written(1, "stdout", "F", "new"))
    assert _texts(logs.read(tmp_path, LogQuery()).lines) == ["old", "new"]
    log.keep(1000)
    assert _texts(logs.read(tmp_path, LogQuery()).lines) == ["old", "new"]
    assert _texts(logs.read(tmp_path, LogQuery(cursor=cursor)).lines) == ["new"]


def test_a_place_in_a_log_stays_the_same_though_conmon_replaces_the_file_twice_before_it_is_kept(
    tmp_path: Path,
) -> None:
    log = _fill(tmp_path / "r", _written(0, "stdout", "F", "first"))
    follower = logs.Follower(tmp_path, LogQuery())
    _replace(tmp_path / "r", _written(1, "stdout", "F", "second, which is the longest by far"))
    assert [found.line.text for found in follower.further(unfinished=True)] == [b"second, which is the longest by far"]
    _replace(tmp_path / "r", _written(2, "stdout", "F", "third"))
    log.keep(1000)
    assert [found.line.text for found in follower.further(unfinished=True)] == [b"third"]
    assert _texts(logs.read(tmp_path, LogQuery()).lines) == ["first", "second, which is the longest by far", "third"]


def test_a_log_that_was_removed_is_empty(tmp_path: Path) -> None:
    log = ReplicaLog(tmp_path / "gone")
    log.keep(1000)
    assert log.segments() == []
    assert logs.tail(log, 3) == []


@pytest.mark.slow
async def test_a_box_that_floods_its_log_stays_within_the_limit(
    tiny_root: Path, oci_settings: Callable[..., OciSettings]
) -> None:
    oci = OciSubject(oci_settings(log_max_mb=1), TinyImages(tiny_root))
    await oci.engine.start()
    try:
        wanted = spec("sh", "-c", "for i in $(seq 20000); do echo line $i of a very talkative box; done; echo end")
        await oci.engine.create(wanted)

        async def said_all() -> bool:
            return bool((await oci.engine.read_logs(wanted.runtime_id, LogQuery(contains="end"))).lines)

        await eventually(said_all)
        directory = oci.settings.data_dir / "logs" / wanted.runtime_id / wanted.id

        async def is_within_the_limit() -> bool:
            return await asyncio.to_thread(_bytes_in, directory) <= 1024 * 1024

        await eventually(is_within_the_limit)
        page = await oci.engine.read_logs(wanted.runtime_id, LogQuery(order="desc", limit=20000))
        numbers = [int(text.split()[1]) for text in _texts(page.lines)[1:]]
        assert numbers[0] == 20000
        assert numbers == sorted(set(numbers), reverse=True), "in order, none twice; a flood may lose a middle part"
        assert len(numbers) > 1000
    finally:
        await oci.engine.destroy()


@pytest.mark.slow
async def test_a_follower_hears_every_line_over_rotations(
    tiny_root: Path, oci_settings: Callable[..., OciSettings]
) -> None:
    oci = OciSubject(oci_settings(log_max_mb=1), TinyImages(tiny_root))
    await oci.engine.start()
    try:
        script = "for i in $(seq 8000); do echo line $i of a very talkative box; done; echo end"
        wanted = spec("sh", "-c", f"until test -e /tmp/go; do sleep 0.01; done; {script}")
        box = await oci.engine.create(wanted)
        heard: list[str] = []

        async def listen() -> None:
            query = LogQuery(since=datetime(2000, 1, 1, tzinfo=UTC))
            async with aclosing(oci.engine.follow_logs(wanted.runtime_id, query)) as lines:
                async for line in lines:
                    heard.append(line.text)
                    if line.text == "end":
                        return

        listening = asyncio.ensure_future(listen())
        await oci.shell(box.id, "touch /tmp/go")
        await asyncio.wait_for(listening, 60)
        assert heard[-1] == "end"
        assert len(heard) == len(set(heard))
        assert [int(text.split()[1]) for text in heard[-100:-1]] == list(range(7902, 8001))
    finally:
        await oci.engine.destroy()


@pytest.mark.slow
async def test_streams_are_told_apart(oci: OciSubject) -> None:
    box = spec("sh", "-c", "echo out; echo err >&2; printf 'no newline'")
    await oci.engine.create(box)

    async def lines() -> list[LogLine]:
        return (await oci.engine.read_logs(box.runtime_id, LogQuery())).lines

    async def three() -> bool:
        return len(await lines()) == 3

    await eventually(three)
    assert {(line.stream, line.text) for line in await lines()} == {
        ("stdout", "out"),
        ("stderr", "err"),
        ("stdout", "no newline"),
    }
    [error] = (await oci.engine.read_logs(box.runtime_id, LogQuery(stream="stderr"))).lines
    assert error.text == "err"


@pytest.mark.slow
async def test_a_replica_that_starts_again_goes_on_in_its_log(oci: OciSubject) -> None:
    wanted = spec("echo", "once more")
    for _ in range(2):
        await oci.run("echo", "once more", id=wanted.id, runtime_id=wanted.runtime_id)
        await oci.engine.delete(wanted.id)
    assert _texts((await oci.engine.read_logs(wanted.runtime_id, LogQuery())).lines) == ["once more", "once more"]


def _bytes_in(directory: Path) -> int:
    """Hard links to one file count once, those that are removed meanwhile not at all."""
    sizes: dict[int, int] = {}
    for entry in directory.iterdir():
        with contextlib.suppress(FileNotFoundError):
            seen = entry.stat()
            sizes[seen.st_ino] = seen.st_size
    return sum(sizes.values())
