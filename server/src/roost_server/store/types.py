"""Column types that behave the same on SQLite and PostgreSQL."""

import re
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa


class Instant(sa.TypeDecorator[datetime]):
    """A point in time: always UTC, always aware. SQLite keeps no zone, so it is taken off and put back."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class Message(sa.TypeDecorator[str]):
    """Text that may repeat what an agent or a tool wrote: what no database keeps becomes a replacement character."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        return None if value is None else _UNSTORABLE.sub("\ufffd", value)
