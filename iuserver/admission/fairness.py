"""Round-robin-by-account admission: a semaphore, and a limiter per iteration of the event loop."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable


class FairSemaphore:
    """A bounded semaphore whose waiters are served in round-robin order of their accounts.

    `size` permits in all, `per_account` for one account (0: all). At most `backlog` callers may wait, of one account
    `backlog_per_account` (default: as many as there are permits, and of one account as many as it may hold). A permit
    is never revoked: its holder releases it.
    """

    def __init__(
        self, size: int, per_account: int = 0, backlog: int | None = None, backlog_per_account: int | None = None
    ) -> None:
        self._size = size
        self._per_account = per_account or size
        self._backlog = backlog or size
        self._backlog_per_account = backlog_per_account or backlog or self._per_account
        self._held: Counter[str] = Counter()
        self._queues: dict[str, deque[asyncio.Future[None]]] = {}
        self.held = 0
        self.waiting = 0

    async def acquire(self, account_id: str, max_wait: float | None = None) -> bool:
        """Acquire a permit, waiting at most `max_wait` seconds; False where the backlog is full or the time is up."""
        if self._is_free_for(account_id):
            self._hold(account_id)
            return True
        queue = self._queues.get(account_id, ())
        if max_wait == 0 or self.waiting >= self._backlog or len(queue) >= self._backlog_per_account:
            return False
        return await self._wait(account_id, max_wait)

    def release(self, account_id: str) -> None:
        """Release a permit to whoever is next."""
        self.held -= 1
        self._held[account_id] -= 1
        if not self._held[account_id]:
            del self._held[account_id]
        while waiter := self._grant_next():
            waiter.set_result(None)

    async def _wait(self, account_id: str, max_wait: float | None) -> bool:
        waiter = asyncio.get_running_loop().create_future()
        self._queues.setdefault(account_id, deque()).append(waiter)
        self.waiting += 1
        try:
            await asyncio.wait({waiter}, timeout=max_wait)
        except asyncio.CancelledError:
            if waiter.done():
                self.release(account_id)
            raise
        finally:
            if not waiter.done():
                self._leave(account_id, waiter)
        return waiter.done()

    def _grant_next(self) -> asyncio.Future[None] | None:
        """Take a permit for the next waiter; its account goes to the end of the round."""
        account_id = next((account_id for account_id in self._queues if self._is_free_for(account_id)), None)
        if account_id is None:
            return None
        self._hold(account_id)
        self.waiting -= 1
        return _pop_first(self._queues, account_id)

    def _leave(self, account_id: str, waiter: asyncio.Future[None]) -> None:
        queue = self._queues[account_id]
        queue.remove(waiter)
        self.waiting -= 1
        if not queue:
            del self._queues[account_id]

    def _is_free_for(self, account_id: str) -> bool:
        return self.held < self._size and self._held[account_id] < self._per_account

    def _hold(self, account_id: str) -> None:
        self.held += 1
        self._held[account_id] += 1


class TickLimiter:
    """Admits `size` operations per iteration of the event loop (a tick), so that none takes long.

    The others wait, and accounts are served in round-robin order. For each `backlog_step` that wait (0: never) one more
    is admitted: whatever else fills the ticks must not starve a long backlog.
    """

    def __init__(self, size: int, backlog_step: int = 0) -> None:
        self._size = size
        self._backlog_step = backlog_step
        self._left = 0
        self._ticking = False
        self._queues: dict[str, deque[asyncio.Future[None]]] = {}
        self.waiting = 0

    def acquire(self, account_id: str) -> asyncio.Future[None] | None:
        """What to await before going on; None: nothing."""
        if not self._ticking:
            self._begin_tick()
        if self._left and not self._queues:
            self._left -= 1
            return None
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(account_id, deque()).append(waiter)
        self.waiting += 1
        return waiter

    def call(self, then: Callable[[], object]) -> None:
        """Call a function when it is admitted, at once if that is now."""
        if waiter := self.acquire(""):
            waiter.add_done_callback(lambda _: then())
        else:
            then()

    def _begin_tick(self) -> None:
        self._left = self._size + (self.waiting // self._backlog_step if self._backlog_step else 0)
        self._ticking = True
        asyncio.get_running_loop().call_soon(self._end_tick)

    def _end_tick(self) -> None:
        self._ticking = False
        if self._queues:
            self._begin_tick()
        while self._queues and self._left:
            self.waiting -= 1
            waiter = _pop_first(self._queues, next(iter(self._queues)))
            if not waiter.done():  # who waited has given up
                waiter.set_result(None)
                self._left -= 1


def _pop_first(queues: dict[str, deque[asyncio.Future[None]]], account_id: str) -> asyncio.Future[None]:
    """Take an account's first waiter; the account goes behind the others."""
    queue = queues.pop(account_id)
    waiter = queue.popleft()
    if queue:
        queues[account_id] = queue
    return waiter
