"""A deadline that is moved often and rarely met; its timer is reset only if it would fire too late."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable


class Deadline:
    """Calls `missed` at the time that was set last, unless it is cleared."""

    def __init__(self, missed: Callable[[], None]) -> None:
        self._missed = missed
        self._loop = asyncio.get_running_loop()
        self._at = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def set(self, seconds: float) -> None:
        """Set the deadline, in seconds from now."""
        self._at = self._loop.time() + seconds
        if self._timer is not None:
            if self._timer.when() <= self._at:
                return
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self._look)

    def clear(self) -> None:
        """Clear the deadline."""
        self._at = math.inf

    def cancel(self) -> None:
        """Cancel the timer."""
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
