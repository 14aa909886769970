"""What became of versions, told from events: a table of stories."""

from datetime import UTC, datetime
from typing import Any

import pytest
from roost.cli.version_story import outcomes
from roost.models import Event


def event(type_: str, message: str = "", **data: Any) -> Event:
    return Event("id", type_, None, message, None, data, datetime.now(UTC))


def made(version: int) -> Event:
    return event("version.created", version=version) if version > 1 else event("runtime.created")


def ready(version: int) -> Event:
    return event("replica.ready", version=version)


def failed(version: int) -> Event:
    return event("replica.failed", "killed; give it more; last log lines:\nx; starting again in 1 s", version=version)


def moved(*live: int, endpoint: str = "DEFAULT") -> Event:
    return event("endpoint.moved", endpoint=endpoint, live={str(version): 100 // len(live) for version in live})


def canary(how: str, why: str, old: int, new: int) -> Event:
    data = {"endpoint": "DEFAULT", "from": old, "to": new}
    return event(f"canary.{how}", f"DEFAULT: {why}", **data)


@pytest.mark.parametrize(
    ("story", "told"),
    [
        ([made(1), ready(1), moved(1), made(2), ready(2), moved(2)], {}),
        ([made(1), failed(1)], {1: "did not start: killed"}),
        ([made(1), failed(1), ready(1)], {}),
        ([made(1), ready(1), failed(1)], {}),
        ([failed(1)], {}),
        ([event("version.created"), event("replica.failed", "older servers did not say of which")], {}),
        ([moved(1), moved(2), moved(1)], {2: "DEFAULT went back to version 1"}),
        ([moved(1), moved(2), moved(1), moved(2)], {}),
        ([moved(1), moved(1, 2), moved(1)], {2: "DEFAULT went back to version 1"}),
        ([moved(3), moved(1, 2)], {3: "DEFAULT went back to version 1 and 2"}),
        ([moved(1), moved(2), moved(1, endpoint="other")], {}),
        ([moved(2)], {}),
        (
            [moved(1, 2), canary("rolled_back", "3 of 9 failed", 1, 2)],
            {2: "canary of DEFAULT rolled back: 3 of 9 failed"},
        ),
        ([moved(1, 2), canary("aborted", "aborted by me", 1, 2), moved(1)], {2: "canary of DEFAULT: aborted by me"}),
    ],
)
def test_a_story_ends_in_a_phrase_or_in_none(story: list[Event], told: dict[int, str]) -> None:
    assert outcomes(story) == told
