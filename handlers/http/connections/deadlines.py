"""A deadline that is moved often and seldom met: its timer is set anew only where it would come too late."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable


class Deadline:
    """Calls `missed` at the time that was set last, unless it was cleared."""

    def __init__(self, missed: Callable[[], None]) -> None:
        self._missed = missed
        self._loop = asyncio.get_running_loop()
        self._at = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def set(self, seconds: float) -> None:
        """So many seconds from now on."""
        self._at = self._loop.time() + seconds
        if self._timer is not None:
            if self._timer.when() <= self._at:
                return
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self._look)

    def clear(self) -> None:
        """No time is set any more."""
        self._at = math.inf

    def cancel(self) -> None:
        """Let go of the timer."""
        self._at = math.inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        left = self._at - self._loop.time()
        if left <= 0:
            self._missed()
        elif left < math.inf:
            self._timer = self._loop.call_later(left, self._look)
