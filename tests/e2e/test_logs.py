"""What a runtime said, over the API: searched, paged and followed."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from roost import Runtime
from support.installation import TOKEN, Installation, until

from e2e.stories import BUILTIN, agent

pytestmark = pytest.mark.slow

Deploy = Callable[..., Runtime]
COUNT = """
i=0
while [ $i -lt 30 ]; do i=$((i+1)); echo "line $i"; done
echo "a Warning" >&2
echo "no newline at the end" | head -c 21
exec sleep 3600
"""


PATIENT: dict[str, Any] = {"timeout": 30, "trust_env": False}


@pytest.fixture
def counter(deploy: Deploy) -> Runtime:
    """Has said thirty lines, a warning, and one without an end."""
    runtime = deploy(image=BUILTIN, command=["sh", "-c", COUNT], memory_mb=64)
    until(lambda: {"line 30", "a Warning", "no newline at the end"} <= {line.text for line in runtime.logs()})
    return runtime


def said(runtime: Runtime, line: str) -> None:
    """Have the agent write a line."""
    runtime.call("POST", "/echo", content=line).raise_for_status()


def test_lines_are_found_by_word_stream_and_time(counter: Runtime) -> None:
    assert [line.text for line in counter.logs(stream="stderr")] == ["a Warning"]
    assert [line.text for line in counter.logs(contains="WARNING")] == ["a Warning"]
    lines = list(counter.logs(stream="stdout"))
    assert [line.text for line in lines[:30]] == [f"line {n}" for n in range(1, 31)]
    later = [line.text for line in counter.logs(since=lines[10].time, until=lines[19].time)]
    assert {line.text for line in lines[10:20]} <= set(later)
    assert list(counter.logs(since=datetime.now(UTC))) == []


def test_the_newest_come_first_when_asked(counter: Runtime) -> None:
    oldest = [line.text for line in counter.logs(stream="stdout")]
    assert [line.text for line in counter.logs(stream="stdout", order="desc")] == oldest[::-1]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_join_without_a_gap(counter: Runtime, order: str) -> None:
    lines, cursor = [], None
    while True:
        page = counter.log_page(order=order, limit=7, cursor=cursor, contains="line")
        lines += [line.text for line in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
        assert len(page.items) == 7
    expected = [f"line {n}" for n in range(1, 31)]
    assert [line for line in lines if line in expected] == expected[:: 1 if order == "asc" else -1]


def test_new_lines_are_followed_as_they_are_written(deploy: Deploy) -> None:
    runtime = deploy(**agent())
    followed = runtime.follow_logs(since="1h")
    assert next(line for line in followed if "listens on" in line.text).stream == "stdout"
    for word in ("one", "two", "three"):
        said(runtime, word)
        assert next(line for line in followed if line.stream == "stdout").text == f"echo {word}"


def test_following_ends_with_the_runtime(deploy: Deploy) -> None:
    runtime = deploy(**agent())
    lines: list[str] = []
    follower = threading.Thread(target=lambda: lines.extend(line.text for line in runtime.follow_logs(since="1h")))
    follower.start()
    until(lambda: lines)
    runtime.delete()
    follower.join(30)
    assert not follower.is_alive()


def test_a_broken_stream_is_taken_up_where_it_broke(deploy: Deploy, shared: Installation) -> None:
    runtime = deploy(**agent())
    url = f"{shared.url}/api/v1/org/default/ws/default/runtimes/{runtime.name}/logs?follow=true"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    said(runtime, "before")
    until(lambda: list(runtime.logs(contains="before")))
    with httpx.stream("GET", url + "&since=2020-01-01T00:00:00Z", headers=headers, **PATIENT) as first:
        assert first.headers["content-type"].startswith("text/event-stream")
        ids = (line.removeprefix("id:").strip() for line in first.iter_lines() if line.startswith("id:"))
        next(ids), next(ids)
        last = next(ids)
    said(runtime, "after")
    with httpx.stream("GET", url, headers=headers | {"Last-Event-ID": last}, **PATIENT) as second:
        texts = (line for line in second.iter_lines() if line.startswith("data:"))
        assert "echo after" in next(texts)


def test_logs_of_all_replicas_are_one(deploy: Deploy) -> None:
    runtime = deploy(**agent(replicas=2))
    ids = {replica.id for replica in runtime.list_replicas()}
    until(lambda: {line.replica_id for line in runtime.logs(contains="listens")} == ids)
    one = min(ids)
    assert {line.replica_id for line in runtime.logs(replica=one)} == {one}
