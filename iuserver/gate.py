"""Admission: token buckets per caller, bounded guesses, bounded places for uploads, reserved places in a month."""

from __future__ import annotations

import math
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Iterable
from dataclasses import dataclass

from cachetools import LRUCache, TTLCache

from iuserver.errors import Fault
from iuserver.places import FairSemaphore, TickLimiter
from iuserver.policy import check_month, overloaded
from iuserver.records import Allowance, Quota

MAX_BUCKETS = 100_000
MIN_COST = 256 * 1024
"""Bytes: what a body costs at least, however small it is."""
STARTS_PER_TICK = 2
CHUNKS_PER_TICK = 2
"""Portions of bodies that are read on with each round of the event loop: half a millisecond where they are large. With
twice as many a small request waits twice as long beside 64 large uploads."""
BACKLOG_STEP = 32
"""For each so many bodies that wait to be read on, one more is."""
START_BACKLOG_LIMIT = 256
"""Uploads that wait for a round of the event loop; one more is refused, on a new connection half as many suffice."""
START_BACKLOG_LOW = 32
"""While so many wait, there is no time for one more yet."""
SHEDDING_RATE = 100
"""More than these are many."""
RETRIES_PER_SECOND = 100
"""So many of those who were refused are told to come back in each second."""
MAX_RETRY_AFTER = 30
"""Seconds, at most, until they are told to."""
EWMA_WEIGHT = 0.1
"""Of the latest measurement in the moving average of service times."""
MINUTE = 60
HOUR = 3600


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class TokenBuckets:
    """A bucket of `per_minute` tokens per key, filled evenly; 0 means no limit. `clock` gives seconds.

    Of more than MAX_BUCKETS callers, those who called last are remembered; the others start anew with a full bucket.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._buckets: LRUCache[Hashable, _Bucket] = LRUCache(MAX_BUCKETS)

    def take(self, key: Hashable) -> Allowance:
        """Take a token if there is one, and tell how many are left."""
        if not self.per_minute:
            return Allowance(0, 0, 0, True)
        now, rate = self._clock(), self.per_minute / 60
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(self.per_minute, now)
        bucket.tokens = min(self.per_minute, bucket.tokens + max(0.0, now - bucket.filled_at) * rate)
        bucket.filled_at = now
        taken = bucket.tokens >= 1
        bucket.tokens -= taken
        missing = max(0.0, 1 - bucket.tokens) if not taken else self.per_minute - bucket.tokens
        return Allowance(self.per_minute, int(bucket.tokens), int(missing / rate) + 1, taken)


class AttemptLimiter:
    """At most `per_address` wrong guesses of a slug's password from one address within any minute, and `per_slug` from
    all; `clock` gives seconds.

    Beyond the latter an address' first guess of the hour is still judged, so that strangers cannot lock out those who
    know the password. A right one costs nothing; while it is judged it counts, so that many at once are no more than
    one after the other.
    """

    def __init__(self, per_address: int, per_slug: int, clock: Callable[[], float]) -> None:
        self._per_address = per_address
        self._per_slug = per_slug
        self._clock = clock
        self._made: TTLCache[Hashable, list[float]] = TTLCache(MAX_BUCKETS, ttl=2 * MINUTE, timer=clock)
        self._hour: TTLCache[Hashable, None] = TTLCache(MAX_BUCKETS, ttl=HOUR, timer=clock)

    def begin(self, slug: str, address: str) -> Callable[[], None]:
        """Take a guess, and return what takes it back. Raises Fault("rate_limited")."""
        now, key = self._clock(), (slug, address)
        first = key not in self._hour
        self._check(key, self._per_address, now)
        if not first:
            self._check(slug, self._per_slug, now)
        for counted, most in ((key, self._per_address), (slug, self._per_slug)):
            self._made[counted] = [*self._lately(counted, now), now][-most:]
        self._hour[key] = None

        def take_back() -> None:
            for counted in (key, slug):
                self._made[counted] = _without(now, self._made.get(counted, ()))
            if first:
                self._hour.pop(key, None)

        return take_back

    def _check(self, counted: Hashable, most: int, now: float) -> None:
        made = self._lately(counted, now)
        if len(made) >= most:
            wait = int(made[0] + MINUTE - now) + 1
            raise Fault("rate_limited", "Too many wrong passwords; wait a moment", retry_after=wait)

    def _lately(self, counted: Hashable, now: float) -> list[float]:
        return [at for at in self._made.get(counted, ()) if now - MINUTE < at <= now]


def _without(one: float, times: Iterable[float]) -> list[float]:
    """The times less one that is equal, if there is any."""
    left = list(times)
    if one in left:
        left.remove(one)
    return left


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the upload queue holds: `max_uploads` bodies being received, `per_account` of them (0 = all) for one
    account, a place waited for at most `receive_wait` seconds; `max_jobs` and `max_bytes` of received bodies, of which
    one account may have `share`, `turns` of them in or next to a worker, none admitted that would wait longer than
    `max_wait` seconds for one."""

    max_uploads: int
    per_account: int
    receive_wait: float
    max_jobs: int
    max_bytes: int
    max_wait: float
    share: float
    worker_permits: int


class UploadQueue:
    """Both stages of an upload, bounded: bodies being received, then bodies on their way through a worker.

    In both, accounts take turns, so what one of them sends delays the others by one body at a time. `now` gives
    seconds: what service times are measured by.
    """

    def __init__(self, bounds: Bounds, now: Callable[[], float] = time.monotonic) -> None:
        self._bounds = bounds
        self._now = now
        self._receive_permits = FairSemaphore(bounds.max_uploads, bounds.per_account)
        self._reads = TickLimiter(CHUNKS_PER_TICK, BACKLOG_STEP)
        self._starts = TickLimiter(STARTS_PER_TICK)
        self._worker_permits = FairSemaphore(bounds.worker_permits, line=bounds.max_jobs)
        self._jobs: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()
        self._cost: Counter[str] = Counter()
        self._seconds_per_byte = 0.0
        self._refusals = _Rate()
        self._next_return = 0.0

    @property
    def receiving(self) -> int:
        """How many bodies are being received."""
        return self._receive_permits.held

    @property
    def waiting(self) -> int:
        """How many callers wait for a place to send."""
        return self._receive_permits.waiting

    @property
    def full(self) -> bool:
        """Whether one more caller would have to wait for a place, or be refused."""
        return self.receiving >= self._bounds.max_uploads or self.working >= self._bounds.max_jobs

    @property
    def working(self) -> int:
        """How many received bodies wait for a worker, are in one, or are being stored."""
        return self._jobs.total()

    async def wait_to_start(self) -> None:
        """Wait until the event loop has time for one more upload. Raises Fault("overloaded").

        All that arrive at once would make a round of the loop so long that no upload under way came to its end.
        """
        if self._starts.waiting >= START_BACKLOG_LIMIT:
            raise overloaded(self.refuse())
        if turn := self._starts.acquire(""):
            await turn

    def acquire_read(self, account_id: str) -> Awaitable[None] | None:
        """What to wait for before more of an account's body is read (None: nothing); "" stands for no account."""
        return self._reads.acquire(account_id)

    async def enter(self, account_id: str) -> Slot:
        """A place to send a body. Raises Fault("overloaded"), at once where a worker could not be had in time."""
        if self.working >= self._bounds.max_jobs or self.expected_wait(account_id) > self._bounds.max_wait:
            raise self._overloaded(account_id)
        if not await self._receive_permits.acquire(account_id, self._bounds.receive_wait):
            raise self._overloaded(account_id)
        return Slot(self, account_id)

    def expected_wait(self, account_id: str) -> float:
        """Seconds until a body of this account, received now, would have been worked on.

        By the measured time of service, and all that is ahead: its own bodies, and of every other account no more, as
        accounts take turns.
        """
        own = self._cost[account_id] + MIN_COST
        ahead = sum(min(cost, own) for account, cost in self._cost.items() if account != account_id) + own
        return ahead * self._seconds_per_byte / self._bounds.worker_permits

    def is_shedding(self) -> bool:
        """Whether a new upload is not even to be heard.

        So it is while too many wait for that, and then, while refusals are many, until there is time and a place for
        one more: to parse and refuse an upload costs half of what it costs to store a small one, so that the more come,
        the fewer would be stored.
        """
        waiting = self._starts.waiting
        many = self._refusals.at(self._now()) > SHEDDING_RATE
        return waiting >= START_BACKLOG_LIMIT // 2 or (many and (self.full or waiting >= START_BACKLOG_LOW))

    def refuse(self, at_least: float = 0.0) -> int:
        """Note a refusal, and tell after how many seconds to come again.

        Those who are refused come back one after the other: were they all told the same, they would come back as one,
        and were many told to come soon, to refuse them again and again would leave no time to store anything.
        """
        now = self._now()
        self._refusals.add(now)
        self._next_return = max(now, self._next_return) + 1 / RETRIES_PER_SECOND
        wait = max(at_least, min(self._next_return - now, MAX_RETRY_AFTER))
        return 1 + int(wait) + secrets.randbelow(3)

    def _overloaded(self, account_id: str) -> Fault:
        return overloaded(self.refuse(at_least=self.expected_wait(account_id)))

    def _begin_work(self, account_id: str, size: int) -> None:
        bounds, jobs, bytes_ = self._bounds, self._jobs, self._bytes
        crowded = jobs.total() >= bounds.max_jobs or jobs[account_id] >= max(1, bounds.share * bounds.max_jobs)
        # Alone, a body of any size gets its turn.
        heavy = jobs.total() and bytes_.total() + size > bounds.max_bytes
        greedy = jobs[account_id] and bytes_[account_id] + size > bounds.share * bounds.max_bytes
        if crowded or heavy or greedy:
            raise self._overloaded(account_id)
        _add(jobs, account_id, 1)
        _add(bytes_, account_id, size)
        _add(self._cost, account_id, max(size, MIN_COST))

    def _end_work(self, account_id: str, size: int) -> None:
        _add(self._jobs, account_id, -1)
        _add(self._bytes, account_id, -size)
        _add(self._cost, account_id, -max(size, MIN_COST))

    def _measure(self, seconds: float, size: int) -> None:
        measured = seconds / max(size, MIN_COST)
        self._seconds_per_byte += (measured - self._seconds_per_byte) * (EWMA_WEIGHT if self._seconds_per_byte else 1)


class Slot:
    """Permission to upload: first to send, then to be worked on. One owner, and one release that is safe to repeat."""

    def __init__(self, queue: UploadQueue, account_id: str) -> None:
        self._queue = queue
        self._account_id = account_id
        self._receiving = True
        self._size: int | None = None
        self._turn_began = 0.0

    async def begin_work(self, size: int) -> None:
        """The body is here: give back the place to send, and wait for a turn at a worker. Raises Fault("overloaded").

        What was received counts until the release: it is still to be stored.
        """
        self._leave()
        queue = self._queue
        queue._begin_work(self._account_id, size)
        self._size = size
        await queue._worker_permits.acquire(self._account_id)
        self._turn_began = queue._now()

    def end_work(self) -> None:
        """Give the turn back: the worker has done its part."""
        queue = self._queue
        queue._worker_permits.release(self._account_id)
        queue._measure(queue._now() - self._turn_began, self._size or 0)

    def release(self) -> None:
        """Give back whatever is held."""
        self._leave()
        if self._size is not None:
            self._queue._end_work(self._account_id, self._size)
            self._size = None

    def _leave(self) -> None:
        if self._receiving:
            self._receiving = False
            self._queue._receive_permits.release(self._account_id)


class _Rate:
    """How often something has happened in about the last second."""

    def __init__(self) -> None:
        self._rate = 0.0
        self._at = 0.0

    def add(self, now: float) -> None:
        self._rate, self._at = self.at(now) + 1, now

    def at(self, now: float) -> float:
        return self._rate * math.exp(min(0.0, self._at - now))


def _add(counter: Counter[str], key: str, number: int) -> None:
    """Add to a count, and forget it when nothing is left: there is one for each account that is busy."""
    counter[key] += number
    if not counter[key]:
        del counter[key]


class QuotaReservations:
    """FairSemaphore in accounts' months held by uploads that have begun, so that a surplus is refused before it queues.

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
