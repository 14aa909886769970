"""Alembic's entry. The connection is handed over by `store/migrate.py`."""

from typing import Any, Literal

from alembic import context
from roost_server.store.tables import metadata
from roost_server.store.types import Instant, Message


def render_item(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """How a new migration spells our own column type; False leaves the rest to Alembic."""
    if kind == "type" and isinstance(item, Instant):
        return "Instant()"
    return "sa.Text()" if kind == "type" and isinstance(item, Message) else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    compare_type=True,
    render_item=render_item,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
