"""Turns: places and readings that accounts take turns for, rounds of the event loop that requests take turns for."""

from __future__ import annotations

import asyncio
from collections import Counter, deque


class Places:
    """`size` places, `per_account` of them for one account (0 = all); as many as that may wait, or as `line` says.

    The account that was served longest ago comes next. A place cannot be taken back: whoever holds one gives it back.
    """

    def __init__(self, size: int, per_account: int = 0, line: int | None = None) -> None:
        self._size = size
        self._per_account = per_account or size
        self._line = line or size
        self._line_per_account = line or self._per_account
        self._held: Counter[str] = Counter()
        self._lines: dict[str, deque[asyncio.Future[None]]] = {}
        self.held = 0
        self.waiting = 0

    async def take(self, account_id: str, max_wait: float | None = None) -> bool:
        """Take a place, waited for at most `max_wait` seconds; False where the line is full or the time is up."""
        if self._may_go(account_id):
            self._hold(account_id)
            return True
        line = self._lines.get(account_id, ())
        if max_wait == 0 or self.waiting >= self._line or len(line) >= self._line_per_account:
            return False
        return await self._wait(account_id, max_wait)

    def crowded_by(self, account_id: str) -> bool:
        """Whether an account holds several places while others hold some, too."""
        return 1 < self._held[account_id] < self.held

    def give_back(self, account_id: str) -> None:
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
                self.give_back(account_id)
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


class Readings:
    """One portion of a body from each account with every round of the event loop, for accounts that send several."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    def turn(self, account_id: str) -> asyncio.Future[None] | None:
        """What to wait for before another portion is read; None: nothing, go on."""
        loop = asyncio.get_running_loop()
        if account_id not in self._waiting:
            self._waiting[account_id] = deque()
            loop.call_soon(self._next, account_id)
            return None
        turn = loop.create_future()
        self._waiting[account_id].append(turn)
        return turn

    def _next(self, account_id: str) -> None:
        if not self._waiting[account_id]:
            del self._waiting[account_id]
            return
        self._waiting[account_id].popleft().set_result(None)
        asyncio.get_running_loop().call_soon(self._next, account_id)


class Rounds:
    """`size` may begin with each round of the event loop; up to `line` others wait, first come, first served."""

    def __init__(self, size: int, line: int) -> None:
        self._size = size
        self._line = line
        self._left = size
        self._turning = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self) -> bool:
        """Wait for a round with room; False where the line is full."""
        if not self._turning:
            self._turning = True
            asyncio.get_running_loop().call_soon(self._next)
        if self._left and not self._waiting:
            self._left -= 1
            return True
        if len(self._waiting) >= self._line:
            return False
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        await turn
        return True

    def _next(self) -> None:
        self._turning = bool(self._waiting)
        self._left = self._size
        while self._waiting and self._left:
            turn = self._waiting.popleft()
            if not turn.done():  # who waited has given up
                turn.set_result(None)
                self._left -= 1
        if self._turning:
            asyncio.get_running_loop().call_soon(self._next)
