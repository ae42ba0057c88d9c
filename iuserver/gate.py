"""Admission: token buckets per caller, bounded guesses, bounded places for uploads, reserved places in a month."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from cachetools import TTLCache

from iuserver.errors import Fault
from iuserver.policy import check_month, overloaded
from iuserver.records import MB, Allowance, Quota

MAX_BUCKETS = 100_000
MINUTE = 60


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class TokenBuckets:
    """A bucket of `per_minute` tokens per key, filled evenly; 0 means no limit. `clock` gives seconds.

    A bucket that has been full for a while is forgotten, so memory is bounded by the callers of the last minute.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._buckets: TTLCache[Hashable, _Bucket] = TTLCache(MAX_BUCKETS, ttl=120, timer=clock)

    def take(self, key: Hashable) -> Allowance:
        """Take a token if there is one, and tell how many are left."""
        if not self._per_minute:
            return Allowance(0, 0, 0, True)
        now, rate = self._clock(), self._per_minute / 60
        bucket = self._buckets.get(key) or _Bucket(self._per_minute, now)
        bucket.tokens = min(self._per_minute, bucket.tokens + max(0.0, now - bucket.filled_at) * rate)
        bucket.filled_at = now
        taken = bucket.tokens >= 1
        bucket.tokens -= taken
        self._buckets[key] = bucket
        missing = max(0.0, 1 - bucket.tokens) if not taken else self._per_minute - bucket.tokens
        return Allowance(self._per_minute, int(bucket.tokens), int(missing / rate) + 1, taken)


class Guesses:
    """At most so many wrong guesses per key within any minute; `clock` gives seconds.

    A right one costs nothing; while it is judged it counts, so that many at once are no more than one after the other.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._made: TTLCache[Hashable, list[float]] = TTLCache(MAX_BUCKETS, ttl=2 * MINUTE, timer=clock)

    def begin(self, key: Hashable) -> Callable[[], None]:
        """Take a guess, and return what takes it back. Raises Fault("rate_limited")."""
        now = self._clock()
        made = [at for at in self._made.get(key, ()) if now - MINUTE < at <= now]
        if len(made) >= self._per_minute:
            wait = int(made[0] + MINUTE - now) + 1
            raise Fault("rate_limited", "Too many wrong passwords; wait a moment", retry_after=wait)
        self._made[key] = [*made, now]

        def take_back() -> None:
            left = list(self._made.get(key, ()))
            if now in left:
                left.remove(now)
            self._made[key] = left

        return take_back


class UploadQueue:
    """Both stages of an upload, bounded: bodies being received, then jobs and bytes on their way through a worker.

    A place to receive is waited for, in turn, for at most `max_wait` seconds, by at most as many as there are places.
    """

    def __init__(self, max_uploads: int, per_account: int, max_wait: float, max_jobs: int, max_mb: int) -> None:
        self._max_uploads = max_uploads
        self._per_account = per_account
        self._max_wait = max_wait
        self._max_jobs = max_jobs
        self._max_bytes = max_mb * MB
        self._accounts: Counter[str] = Counter()
        self._uploads = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._jobs = 0
        self._bytes = 0

    @property
    def receiving(self) -> int:
        """How many bodies are being received."""
        return self._uploads

    async def enter(self, account_id: str) -> Slot:
        """A place to send a body. Raises Fault("overloaded"): at once for an account that has its share already."""
        if self._per_account and self._accounts[account_id] >= self._per_account:
            raise overloaded()
        self._accounts[account_id] += 1
        try:
            await self._take_place()
        except BaseException:
            self._forget(account_id)
            raise
        return Slot(self, account_id)

    async def _take_place(self) -> None:
        if self._uploads < self._max_uploads:
            self._uploads += 1
            return
        if not self._max_wait or len(self._waiting) >= self._max_uploads:
            raise overloaded()
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await asyncio.wait({turn}, timeout=self._max_wait)
        finally:
            if not turn.done():
                self._waiting.remove(turn)
        if not turn.done():
            raise overloaded()

    def _leave(self, account_id: str) -> None:
        self._forget(account_id)
        if self._waiting:
            self._waiting.popleft().set_result(None)  # the place goes from hand to hand
        else:
            self._uploads -= 1

    def _forget(self, account_id: str) -> None:
        self._accounts[account_id] -= 1
        if not self._accounts[account_id]:
            del self._accounts[account_id]

    def _begin_work(self, size: int) -> None:
        if self._jobs >= self._max_jobs or (self._jobs and self._bytes + size > self._max_bytes):
            raise overloaded()
        self._jobs += 1
        self._bytes += size

    def _end_work(self, size: int) -> None:
        self._jobs -= 1
        self._bytes -= size


class Slot:
    """Permission to upload: first to send, then to be worked on. One owner, and one release that is safe to repeat."""

    def __init__(self, queue: UploadQueue, account_id: str) -> None:
        self._queue = queue
        self._account_id = account_id
        self._receiving = True
        self._work: int | None = None

    def work(self, size: int) -> None:
        """The body is here: give back the place to send, take one to be worked on. Raises Fault("overloaded")."""
        self._leave()
        self._queue._begin_work(size)
        self._work = size

    def release(self) -> None:
        """Give back whatever is held."""
        self._leave()
        if self._work is not None:
            self._queue._end_work(self._work)
            self._work = None

    def _leave(self) -> None:
        if self._receiving:
            self._receiving = False
            self._queue._leave(self._account_id)


class MonthPlaces:
    """Places in accounts' months held by uploads that have begun, so that a surplus is refused before it queues.

    A place is given back when its commit is handed to the catalog: the commit is the judge, and an upload that begins
    meanwhile must not be refused for a count that includes the same upload twice.
    """

    def __init__(self) -> None:
        self._held: Counter[tuple[str, str]] = Counter()

    def reserve(self, account_id: str, month: str, quota: Quota, now: float) -> Callable[[], None]:
        """Hold a place and return its release, safe to repeat. Raises Fault("quota_exceeded")."""
        key = (account_id, month)
        check_month(quota, now, held=self._held[key])
        self._held[key] += 1
        held = True

        def release() -> None:
            nonlocal held
            if held:
                held = False
                self._held[key] -= 1
                if not self._held[key]:
                    del self._held[key]

        return release
