"""What SQLAlchemy compiled is kept for all engines of a kind: a store has several, a process may have many stores.

Compiling a statement takes many times what running it does. The cache's key has the engine's dialect in it, which
SQLAlchemy compares by identity; these are equal to their kind.
"""

from typing import Any

from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.util import LRUCache

STATEMENTS = 1000
"""More than the store has. Beyond it those used least recently go."""

SHARED: dict[str, Any] = {"compiled_cache": LRUCache(STATEMENTS)}
"""An engine's `execution_options`."""


class _OfItsKind:
    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))


class SharedSQLite(_OfItsKind, SQLiteDialect_pysqlite):
    supports_statement_cache = True


class SharedPostgreSQL(_OfItsKind, PGDialect_asyncpg):
    supports_statement_cache = True


SQLITE, POSTGRESQL = "sqlite+shared", "postgresql+shared"
"""Driver names for an engine's URL."""

registry.register(SQLITE.replace("+", "."), __name__, SharedSQLite.__name__)
registry.register(POSTGRESQL.replace("+", "."), __name__, SharedPostgreSQL.__name__)
