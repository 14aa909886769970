"""What a database cannot do now, told as `Unavailable`: reconcilers try again, callers may. All else is a bug."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from roost_server.domain import errors

_RETRIED = ("40001", "40P01")
"""PostgreSQL's serialization failure and deadlock: the transaction was rolled back and may be done again."""

_FULL = ("database or disk is full", "No space left on device")
_AWAY = ("database is locked", "disk I/O error", "readonly database", "unable to open database file")


@contextmanager
def told() -> Iterator[None]:
    """Around a transaction. Nothing but the database does I/O in one, so an OSError is the connection's."""
    try:
        yield
    except DBAPIError as error:
        known = _known(error)
        if known is None:
            raise
        raise known from error
    except (OSError, PoolTimeoutError) as error:
        raise _unavailable(str(error)) from error


def _known(error: DBAPIError) -> errors.Unavailable | None:
    text, state = str(error.orig), getattr(error.orig, "sqlstate", None)
    if state == "53100" or any(words in text for words in _FULL):
        message = "cannot write to the database: the disk is full; free some space"
        return errors.Unavailable(message, reason="disk_full", detail=text)
    if state in _RETRIED or error.connection_invalidated or any(words in text for words in _AWAY):
        return _unavailable(text)
    return None


def _unavailable(detail: str) -> errors.Unavailable:
    return errors.Unavailable("cannot use the database now; try again", detail=detail)
