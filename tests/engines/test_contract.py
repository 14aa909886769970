"""What every engine promises, as stories run against each of them."""

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime

import pytest
from machine import Subject, spec
from roost_server.domain import errors
from roost_server.domain.exec import ExecRequest
from roost_server.domain.log import LogLine, LogPage, LogQuery
from roost_server.domain.replica import BoxStatus
from support.waiting import PATIENCE_SECONDS, eventually


async def test_a_created_box_runs_and_can_be_reached(subject: Subject) -> None:
    box = await subject.engine.create(spec())
    assert box.status == BoxStatus.RUNNING
    assert box.address
    assert box.started_at is not None
    assert set(box.phases) == {"disk", "network", "process"}
    assert await subject.engine.inspect(box.id) == box


async def test_creating_again_answers_with_the_same_box(subject: Subject) -> None:
    wanted = spec()
    first = await subject.engine.create(wanted)
    assert await subject.engine.create(wanted) == first


async def test_two_creates_at_once_make_one_box(subject: Subject) -> None:
    wanted = spec()
    first, second = await asyncio.gather(subject.engine.create(wanted), subject.engine.create(wanted))
    assert first == second
    assert len(await subject.engine.list()) == 1


async def test_what_was_never_made_is_not_there(subject: Subject, replica_id: str) -> None:
    assert await subject.engine.inspect(replica_id) is None


async def test_every_box_is_listed_until_it_is_deleted(subject: Subject) -> None:
    made = [await subject.engine.create(spec()) for _ in range(3)]
    assert {box.id for box in await subject.engine.list()} == {box.id for box in made}
    await asyncio.gather(*(subject.engine.delete(box.id) for box in made))
    assert await subject.engine.list() == []


async def test_deleting_what_is_gone_succeeds(subject: Subject, replica_id: str) -> None:
    box = await subject.engine.create(spec())
    await asyncio.gather(subject.engine.delete(box.id), subject.engine.delete(box.id, force=True))
    await subject.engine.delete(box.id)
    await subject.engine.delete(replica_id)
    assert await subject.engine.inspect(box.id) is None


async def test_a_deleted_box_can_be_made_anew(subject: Subject) -> None:
    wanted = spec()
    first = await subject.engine.create(wanted)
    await subject.engine.delete(wanted.id)
    second = await subject.engine.create(wanted)
    assert second.status == BoxStatus.RUNNING
    assert second.pid != first.pid


async def test_a_box_that_ended_says_how_and_what_it_wrote_last(subject: Subject) -> None:
    wanted = spec()
    await subject.engine.create(wanted)
    await eventually(lambda: _has_lines(subject, wanted.runtime_id))
    await subject.end(wanted.id)
    seen = await subject.engine.inspect(wanted.id)
    assert seen.status == BoxStatus.EXITED
    assert seen.exit_code == 137
    assert any("started" in line for line in seen.log_tail)


async def test_creating_a_box_that_ended_does_not_start_it_again(subject: Subject) -> None:
    wanted = spec()
    await subject.engine.create(wanted)
    await subject.end(wanted.id)
    assert (await subject.engine.create(wanted)).status == BoxStatus.EXITED


async def test_the_end_of_a_box_is_told(subject: Subject) -> None:
    wanted = spec()
    await subject.engine.create(wanted)
    async with aclosing(subject.engine.changes()) as changes:
        told = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        await subject.end(wanted.id)
        assert await asyncio.wait_for(told, PATIENCE_SECONDS) == wanted.id


async def test_a_command_that_can_never_start_is_invalid_and_leaves_nothing(subject: Subject) -> None:
    with pytest.raises(errors.Invalid, match=r"^cannot ") as refused:
        await subject.engine.create(subject.unstartable())
    assert refused.value.reason == "start_failed"
    assert await subject.engine.list() == []


async def test_exec_answers_with_what_the_command_said(subject: Subject) -> None:
    box = await subject.engine.create(spec())
    done = await subject.engine.exec(box.id, ExecRequest(["echo", "hello", "world"]))
    assert (done.exit_code, done.stdout, done.stderr) == (0, b"hello world\n", b"")
    assert (await subject.engine.exec(box.id, ExecRequest(["false"]))).exit_code == 1


async def test_exec_hands_over_stdin_and_environment(subject: Subject) -> None:
    box = await subject.engine.create(spec(env={"OWN": "1"}))
    done = await subject.engine.exec(box.id, ExecRequest(["cat"], stdin=b"\x00\xffbytes"))
    assert done.stdout == b"\x00\xffbytes"
    done = await subject.engine.exec(box.id, ExecRequest(["env"], env={"GIVEN": "2"}))
    assert {"OWN=1", "GIVEN=2"} <= set(done.stdout.decode().splitlines())


async def test_exec_of_a_missing_command_ends_with_127(subject: Subject) -> None:
    box = await subject.engine.create(spec())
    done = await subject.engine.exec(box.id, ExecRequest(["no-such-command"]))
    assert done.exit_code == 127
    assert b"no-such-command" in done.stderr


async def test_exec_ends_at_its_timeout_with_124(subject: Subject) -> None:
    box = await subject.engine.create(spec())
    done = await subject.engine.exec(box.id, ExecRequest(["sleep", "1000"], timeout_seconds=0.2))
    assert done.exit_code == 124
    assert done.timed_out


async def test_exec_cuts_output_at_its_limit(subject: Subject) -> None:
    box = await subject.engine.create(spec())
    done = await subject.engine.exec(box.id, ExecRequest(["cat"], stdin=b"x" * 100_000, max_output_bytes=1000))
    assert done.exit_code == 0
    assert done.stdout == b"x" * 1000
    assert done.stdout_truncated and not done.stderr_truncated


async def test_exec_in_a_box_that_is_gone_is_not_found(subject: Subject, replica_id: str) -> None:
    with pytest.raises(errors.NotFound, match=r"^cannot "):
        await subject.engine.exec(replica_id, ExecRequest(["true"]))


async def test_exec_in_a_box_that_ended_is_a_conflict(subject: Subject) -> None:
    box = await subject.engine.create(spec())
    await subject.end(box.id)
    with pytest.raises(errors.Conflict, match=r"^cannot "):
        await subject.engine.exec(box.id, ExecRequest(["true"]))


async def test_logs_of_all_replicas_are_read_in_time_order_page_by_page(subject: Subject) -> None:
    runtime_id = await _three_replicas(subject)
    whole = await subject.engine.read_logs(runtime_id, LogQuery())
    assert len(whole.lines) == 3 and whole.next_cursor is None
    assert [line.time for line in whole.lines] == sorted(line.time for line in whole.lines)
    assert await _pages(subject, runtime_id, "asc") == whole.lines
    assert await _pages(subject, runtime_id, "desc") == whole.lines[::-1]


async def test_logs_are_searched_by_word_stream_replica_and_time(subject: Subject) -> None:
    runtime_id = await _three_replicas(subject)
    lines = (await subject.engine.read_logs(runtime_id, LogQuery(contains="STARTED"))).lines
    assert len(lines) == 3

    async def found(query: LogQuery) -> list[LogLine]:
        page: LogPage = await subject.engine.read_logs(runtime_id, query)
        return page.lines

    assert await found(LogQuery(contains="nobody said this")) == []
    assert await found(LogQuery(stream="stderr")) == []
    assert await found(LogQuery(replica_ids={lines[1].replica_id})) == [lines[1]]
    assert await found(LogQuery(replica_ids={line.replica_id for line in lines[:2]})) == lines[:2]
    assert await found(LogQuery(replica_ids=set())) == []
    assert await found(LogQuery(since=lines[2].time)) == [lines[2]]
    assert await found(LogQuery(until=lines[0].time)) == [lines[0]]


async def test_logs_outlive_their_replica_until_they_are_forgotten(subject: Subject) -> None:
    wanted = spec()
    await subject.engine.create(wanted)
    await eventually(lambda: _has_lines(subject, wanted.runtime_id))
    await subject.engine.delete(wanted.id)
    assert await _has_lines(subject, wanted.runtime_id)
    await subject.engine.forget_logs(wanted.runtime_id)
    await subject.engine.forget_logs(wanted.runtime_id)
    assert not await _has_lines(subject, wanted.runtime_id)


async def test_a_follower_hears_what_is_written_later(subject: Subject) -> None:
    first = spec()
    second = spec(runtime_id=first.runtime_id)
    await subject.engine.create(first)
    await eventually(lambda: _has_lines(subject, first.runtime_id))
    page = await subject.engine.read_logs(first.runtime_id, LogQuery())
    async with aclosing(subject.engine.follow_logs(first.runtime_id, LogQuery(cursor=page.lines[-1].cursor))) as lines:
        heard = asyncio.ensure_future(anext(lines))
        await subject.engine.create(second)
        assert (await asyncio.wait_for(heard, PATIENCE_SECONDS)).replica_id == second.id


async def test_following_ends_when_the_logs_are_forgotten(subject: Subject) -> None:
    wanted = spec()
    await subject.engine.create(wanted)
    await eventually(lambda: _has_lines(subject, wanted.runtime_id))
    since = datetime(2000, 1, 1, tzinfo=UTC)
    async with aclosing(subject.engine.follow_logs(wanted.runtime_id, LogQuery(since=since))) as lines:
        await anext(lines)
        heard = asyncio.ensure_future(anext(lines))
        await subject.engine.delete(wanted.id)
        await subject.engine.forget_logs(wanted.runtime_id)
        with pytest.raises(StopAsyncIteration):
            while True:
                await asyncio.wait_for(heard, PATIENCE_SECONDS)
                heard = asyncio.ensure_future(anext(lines))
    assert not await _has_lines(subject, wanted.runtime_id)


async def test_running_boxes_are_measured(subject: Subject) -> None:
    running, ended = await subject.engine.create(spec()), await subject.engine.create(spec())
    await subject.end(ended.id)
    measured = await subject.engine.measure()
    assert set(measured) == {running.id}
    assert measured[running.id].memory_bytes > 0


async def _has_lines(subject: Subject, runtime_id: str) -> bool:
    page: LogPage = await subject.engine.read_logs(runtime_id, LogQuery())
    return bool(page.lines)


async def _three_replicas(subject: Subject) -> str:
    """A runtime of which three replicas said one line each, one after the other."""
    first = spec()
    for number in range(3):
        await subject.engine.create(spec(runtime_id=first.runtime_id))

        async def said(wanted: int = number + 1) -> bool:
            return len((await subject.engine.read_logs(first.runtime_id, LogQuery())).lines) == wanted

        await eventually(said)
    return first.runtime_id


async def _pages(subject: Subject, runtime_id: str, order: str) -> list[LogLine]:
    lines, cursor = [], None
    while True:
        page = await subject.engine.read_logs(runtime_id, LogQuery(order=order, limit=1, cursor=cursor))
        lines += page.lines
        if page.next_cursor is None:
            return lines
        cursor = page.next_cursor
