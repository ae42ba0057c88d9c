"""Turns: places to send and to work, and rounds of the event loop; accounts take turns for both."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable


class FairSemaphore:
    """`size` places, `per_account` of them for one account (0 = all); as many as that may wait, or as `line` and
    `line_per_account` say.

    The account that was served longest ago comes next. A place cannot be taken back: whoever holds one gives it back.
    """

    def __init__(
        self, size: int, per_account: int = 0, line: int | None = None, line_per_account: int | None = None
    ) -> None:
        self._size = size
        self._per_account = per_account or size
        self._line = line or size
        self._line_per_account = line_per_account or line or self._per_account
        self._held: Counter[str] = Counter()
        self._lines: dict[str, deque[asyncio.Future[None]]] = {}
        self.held = 0
        self.waiting = 0

    async def acquire(self, account_id: str, max_wait: float | None = None) -> bool:
        """Take a place, waited for at most `max_wait` seconds; False where the line is full or the time is up."""
        if self._may_go(account_id):
            self._hold(account_id)
            return True
        line = self._lines.get(account_id, ())
        if max_wait == 0 or self.waiting >= self._line or len(line) >= self._line_per_account:
            return False
        return await self._wait(account_id, max_wait)

    def release(self, account_id: str) -> None:
        """Give a place back, and let whoever is next have it."""
        self.held -= 1
        self._held[account_id] -= 1
        if not self._held[account_id]:
            del self._held[account_id]
        while turn := self._next():
            turn.set_result(None)

    async def _wait(self, account_id: str, max_wait: float | None) -> bool:
        turn = asyncio.get_running_loop().create_future()
        self._lines.setdefault(account_id, deque()).append(turn)
        self.waiting += 1
        try:
            await asyncio.wait({turn}, timeout=max_wait)
        except asyncio.CancelledError:
            if turn.done():
                self.release(account_id)
            raise
        finally:
            if not turn.done():
                self._leave(account_id, turn)
        return turn.done()

    def _next(self) -> asyncio.Future[None] | None:
        """Who gets a place now, held for them already. Their account goes to the end of the round."""
        account_id = next((account_id for account_id in self._lines if self._may_go(account_id)), None)
        if account_id is None:
            return None
        line = self._lines.pop(account_id)
        self._hold(account_id)
        self.waiting -= 1
        turn = line.popleft()
        if line:
            self._lines[account_id] = line
        return turn

    def _leave(self, account_id: str, turn: asyncio.Future[None]) -> None:
        line = self._lines[account_id]
        line.remove(turn)
        self.waiting -= 1
        if not line:
            del self._lines[account_id]

    def _may_go(self, account_id: str) -> bool:
        return self.held < self._size and self._held[account_id] < self._per_account

    def _hold(self, account_id: str) -> None:
        self.held += 1
        self._held[account_id] += 1


class TickLimiter:
    """`size` may go on with each round of the event loop, so that none takes long; the others wait, and accounts take
    turns. For each `backlog_step` that wait (0: however many) one more goes on: whatever else fills the rounds then must not
    leave them next to nothing."""

    def __init__(self, size: int, backlog_step: int = 0) -> None:
        self._size = size
        self._backlog_step = backlog_step
        self._left = 0
        self._turning = False
        self._lines: dict[str, deque[asyncio.Future[None]]] = {}
        self.waiting = 0

    def acquire(self, account_id: str) -> asyncio.Future[None] | None:
        """What to wait for before going on; None: nothing."""
        if not self._turning:
            self._begin()
        if self._left and not self._lines:
            self._left -= 1
            return None
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(account_id, deque()).append(turn)
        self.waiting += 1
        return turn

    def call(self, then: Callable[[], object]) -> None:
        """Have something done when it is its turn, at once if that is now."""
        if turn := self.acquire(""):
            turn.add_done_callback(lambda _: then())
        else:
            then()

    def _begin(self) -> None:
        self._left = self._size + (self.waiting // self._backlog_step if self._backlog_step else 0)
        self._turning = True
        asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        self._turning = False
        if self._lines:
            self._begin()
        while self._lines and self._left:
            turn = self._first()
            if not turn.done():  # who waited has given up
                turn.set_result(None)
                self._left -= 1

    def _first(self) -> asyncio.Future[None]:
        """Who waits the longest of the account whose turn it is; the account goes behind the others."""
        account_id = next(iter(self._lines))
        line = self._lines.pop(account_id)
        turn = line.popleft()
        if line:
            self._lines[account_id] = line
        self.waiting -= 1
        return turn
