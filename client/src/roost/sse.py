"""Server-sent events out of bytes, as the HTML standard describes them.

Only line feeds end a line here: a log text may hold any other character that Python's `splitlines` would break at.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class ServerEvent:
    data: str
    id: str | None = None


class Decoder:
    """Fed with chunks as they come; keeps what is incomplete. `last_id` is where to continue after a break."""

    def __init__(self, last_id: str | None = None) -> None:
        self.last_id = last_id
        self._rest = b""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """The events that this chunk completes."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return [event for line in lines if (event := self._line(line.rstrip(b"\r").decode(errors="replace")))]

    def _line(self, line: str) -> ServerEvent | None:
        if not line:
            return self._finish()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "id":
            self.last_id = value
        return None

    def _finish(self) -> ServerEvent | None:
        if not self._data:
            return None
        event = ServerEvent("\n".join(self._data), self.last_id)
        self._data = []
        return event
