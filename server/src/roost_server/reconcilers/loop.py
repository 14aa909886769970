"""The one reconcile loop: claim due rows, reconcile each, release it with its next wake, back off on failure.

A reconciler is told which row, never what happened, and returns in how many seconds to look again (None: only when
woken). It may be killed at any line: its lease runs out and the row is claimed again.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import sqlalchemy as sa
import structlog

from roost_server.domain import errors
from roost_server.store import leases
from roost_server.store.leases import Lease, LostLease
from roost_server.store.store import Stale, Store, Tx

log = structlog.get_logger()

LEASE_SECONDS = 30.0
POLL_SECONDS = 1.0
CONTENDED_SECONDS = 0.05
"""Another server took what was due."""
BACK_OFF_LIMIT_SECONDS = 60.0

Reconcile = Callable[[Lease], Awaitable[float | None]]


@asynccontextmanager
async def held(store: Store, lease: Lease) -> AsyncIterator[Tx]:
    """A write transaction that begins by holding the lease: a stale worker writes nothing."""
    async with store.write() as tx:
        await leases.hold(tx, lease, LEASE_SECONDS)
        yield tx


class Loop:
    """Runs one reconciler over the due rows of one table. `owner` is the server, to whom its leases belong."""

    def __init__(
        self, store: Store, table: sa.Table, reconcile: Reconcile, concurrency: int, *, owner: str = ""
    ) -> None:
        self._store = store
        self._table = table
        self._reconcile = reconcile
        self._concurrency = concurrency
        self._owner = owner
        self._running: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until cancelled. Work under way is cancelled along and claimed again by whoever comes next."""
        try:
            while True:
                await self._round()
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    async def _round(self) -> None:
        seen = self._store.nudges.seen(self._table.name)
        try:
            wait = await self._claim_due()
        except Exception:
            log.exception("cannot claim rows", table=self._table.name)
            wait = POLL_SECONDS
        nudge = self._store.nudges.wait(self._table.name, seen, wait)
        if len(self._running) < self._concurrency:
            await nudge
        else:
            nudge.close()
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)

    async def _claim_due(self) -> float:
        """Start work on due rows; seconds until the next could be due."""
        async with self._store.read() as tx:
            soonest = await leases.due_soonest(tx, self._table)
        if soonest is None:
            return POLL_SECONDS
        wait = (soonest - leases.now()).total_seconds()
        free = self._concurrency - len(self._running)
        if wait > 0 or free == 0:
            return min(wait, POLL_SECONDS)
        async with self._store.write() as tx:
            claimed = await leases.claim(tx, self._table, free, LEASE_SECONDS, owner=self._owner)
        for lease in claimed:
            task = asyncio.create_task(self._work(lease))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return 0 if claimed else CONTENDED_SECONDS

    async def _work(self, lease: Lease) -> None:
        attempts, again = 0, None
        try:
            again = await self._alive(lease)
        except LostLease:
            log.warning("lost a lease", table=self._table.name, row=lease.row_id)
            return
        except Stale:
            again = 0.0
        except errors.Unavailable as error:
            attempts, again = lease.attempts + 1, back_off_seconds(lease.attempts)
            log.warning("will try again", row=lease.row_id, error=error.message, detail=error.detail, seconds=again)
        except Exception:
            attempts, again = lease.attempts + 1, back_off_seconds(lease.attempts)
            log.exception("cannot reconcile", table=self._table.name, row=lease.row_id, seconds=again)
        await self._release(lease, again, attempts)

    async def _alive(self, lease: Lease) -> float | None:
        """Reconcile, prolonging the lease while it takes long; losing the lease cancels the work."""
        work = asyncio.ensure_future(self._reconcile(lease))
        try:
            while not (await asyncio.wait({work}, timeout=LEASE_SECONDS / 3))[0]:
                async with self._store.write() as tx:
                    await leases.hold(tx, lease, LEASE_SECONDS)
            return work.result()
        finally:
            work.cancel()
            await asyncio.wait({work})

    async def _release(self, lease: Lease, again: float | None, attempts: int) -> None:
        wake_at = None if again is None else leases.now() + timedelta(seconds=again)
        async with self._store.write() as tx:
            due = await leases.release(tx, lease, wake_at, attempts=attempts)
            if due is not None and (due - leases.now()).total_seconds() < POLL_SECONDS:
                tx.nudge(self._table.name)


def back_off_seconds(attempts: int) -> float:
    """0.5, 1, 2 … at most a minute."""
    return float(min(BACK_OFF_LIMIT_SECONDS, 0.5 * 2 ** min(attempts, 10)))
