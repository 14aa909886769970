"""Server-sent events out of chunks."""

import pytest
from roost.sse import Decoder, ServerEvent

STREAM = ': open\n\nid: 1\ndata: {"a": 1}\n\nid: 2\r\ndata: first\r\ndata: second\r\n\r\ndata:ü\u2028ü\n\n'
EVENTS = [ServerEvent('{"a": 1}', "1"), ServerEvent("first\nsecond", "2"), ServerEvent("ü\u2028ü", "2")]


@pytest.mark.parametrize("length", [1, 2, 3, 7, 1000])
def test_chunks_of_any_length_give_the_same_events(length: int) -> None:
    decoder, raw = Decoder(), STREAM.encode()
    found = [event for at in range(0, len(raw), length) for event in decoder.feed(raw[at : at + length])]
    assert found == EVENTS


def test_it_goes_on_after_the_last_event_that_came_whole() -> None:
    decoder = Decoder("7")
    assert decoder.feed(b": still here\n\nda") == []
    assert decoder.last_id == "7"
