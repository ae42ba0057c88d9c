"""The upload queue: bounded bodies being received, bounded bodies at the workers, and shedding when both are behind."""

from __future__ import annotations

import math
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from iuserver.admission.fairness import FairSemaphore, TickLimiter
from iuserver.errors import Fault
from iuserver.policy import overloaded

MIN_COST = 256 * 1024
"""Bytes: the least that a body costs a worker, however small it is."""
STARTS_PER_TICK = 2
"""Uploads that start in one iteration of the event loop: starting all arrivals at once would starve those under way."""
START_BACKLOG_LIMIT = 256
"""Capacity of the queue of uploads that wait to start; shedding begins at half."""
START_BACKLOG_LOW = 32
"""Low-water mark: shed until the start backlog is below this."""
CHUNKS_PER_TICK = 2
"""Chunks of bodies that are read in one iteration of the event loop: half a millisecond of work where they are large.
With twice as many a small request waits twice as long beside 64 large uploads."""
BACKLOG_STEP = 32
"""Backlog size per extra chunk that is admitted in each iteration."""
SHEDDING_RATE = 100
"""Refusals per second above which a full queue sheds new connections before parsing."""
RETRIES_PER_SECOND = 100
"""Refused clients whose Retry-After ends in the same second."""
MAX_RETRY_AFTER = 30
"""Cap on a computed Retry-After, in seconds, before jitter."""
EWMA_WEIGHT = 0.1
"""Weight of the newest sample in the moving average of service times."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds of the upload queue."""

    max_uploads: int
    """Bodies being received at once."""
    per_account: int
    """Of these for one account; 0: no bound of its own."""
    receive_wait: float
    """Seconds for which a caller may wait for permission to send."""
    max_jobs: int
    """Received bodies that wait for a worker, are in one, or are being stored."""
    max_bytes: int
    """Bytes of these bodies in all."""
    max_wait: float
    """Seconds: no upload is admitted that is expected to wait longer for a worker."""
    share: float
    """Share of `max_jobs` and `max_bytes` that one account may have, from 0 to 1."""
    worker_permits: int
    """Bodies in a worker or next in line at one."""


class UploadQueue:
    """Both stages of an upload, each bounded and shared out to accounts in round-robin order.

    `now` gives seconds on a monotonic clock, for service times.
    """

    def __init__(self, bounds: Bounds, now: Callable[[], float] = time.monotonic) -> None:
        self._bounds = bounds
        self._now = now
        self._starts = TickLimiter(STARTS_PER_TICK)
        self._reads = TickLimiter(CHUNKS_PER_TICK, BACKLOG_STEP)
        self._receive_permits = FairSemaphore(bounds.max_uploads, bounds.per_account)
        self._worker_permits = FairSemaphore(bounds.worker_permits, backlog=bounds.max_jobs)
        self._jobs: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()
        self._cost: Counter[str] = Counter()
        self._seconds_per_byte = 0.0
        self._refusals = _DecayingRate()
        self._next_return = 0.0

    @property
    def receiving(self) -> int:
        """How many bodies are being received."""
        return self._receive_permits.held

    @property
    def waiting(self) -> int:
        """How many callers wait for permission to send."""
        return self._receive_permits.waiting

    @property
    def working(self) -> int:
        """How many received bodies wait for a worker, are in one, or are being stored."""
        return self._jobs.total()

    @property
    def full(self) -> bool:
        """Whether one more caller would have to wait for permission to send, or be refused."""
        return self.receiving >= self._bounds.max_uploads or self.working >= self._bounds.max_jobs

    # The way in: start, then receive, then work.

    async def wait_to_start(self) -> None:
        """Wait for an iteration of the event loop that starts one more upload. Raises Fault("overloaded")."""
        if self._starts.waiting >= START_BACKLOG_LIMIT:
            raise overloaded(self.refuse())
        if waiting := self._starts.acquire(""):
            await waiting

    async def enter(self, account_id: str) -> Slot:
        """Wait for leave to send a body. Raises Fault("overloaded"), at once where a worker would come too late."""
        await self.wait_to_start()
        if self.working >= self._bounds.max_jobs or self.expected_wait(account_id) > self._bounds.max_wait:
            raise self._overloaded(account_id)
        if not await self._receive_permits.acquire(account_id, self._bounds.receive_wait):
            raise self._overloaded(account_id)
        return Slot(self, account_id)

    def acquire_read(self, account_id: str) -> Awaitable[None] | None:
        """Backpressure: what to await before the next chunk of an account's body is read; None: nothing. "" stands for
        no account."""
        return self._reads.acquire(account_id)

    def received(self, account_id: str) -> None:
        """A body is here, or its sender has given up: release its permission to send."""
        self._receive_permits.release(account_id)

    def enqueue(self, account_id: str, size: int) -> None:
        """Count a received body until `dequeue`. Raises Fault("overloaded") where it exceeds a bound.

        Alone, a body of any size is accepted.
        """
        bounds, jobs, bytes_ = self._bounds, self._jobs, self._bytes
        too_many = jobs.total() >= bounds.max_jobs or jobs[account_id] >= max(1, bounds.share * bounds.max_jobs)
        too_large = jobs.total() and bytes_.total() + size > bounds.max_bytes
        over_share = jobs[account_id] and bytes_[account_id] + size > bounds.share * bounds.max_bytes
        if too_many or too_large or over_share:
            raise self._overloaded(account_id)
        _add(jobs, account_id, 1)
        _add(bytes_, account_id, size)
        _add(self._cost, account_id, max(size, MIN_COST))

    def dequeue(self, account_id: str, size: int) -> None:
        """Forget a body: it is stored, or will not be."""
        _add(self._jobs, account_id, -1)
        _add(self._bytes, account_id, -size)
        _add(self._cost, account_id, -max(size, MIN_COST))

    async def acquire_worker(self, account_id: str) -> Callable[[int], None]:
        """Wait for a worker. Returns the release, which takes the body's size and samples the service time."""
        await self._worker_permits.acquire(account_id)
        began = self._now()

        def release(size: int) -> None:
            self._worker_permits.release(account_id)
            self._sample(self._now() - began, size)

        return release

    def expected_wait(self, account_id: str) -> float:
        """Seconds until a body of this account, received now, would have been worked on.

        By the measured service time and the backlog ahead: all of its own account's, and of every other account no more
        than that, since accounts are served in round-robin order.
        """
        own = self._cost[account_id] + MIN_COST
        ahead = sum(min(cost, own) for account, cost in self._cost.items() if account != account_id) + own
        return ahead * self._seconds_per_byte / self._bounds.worker_permits

    def _sample(self, seconds: float, size: int) -> None:
        sample = seconds / max(size, MIN_COST)
        self._seconds_per_byte += (sample - self._seconds_per_byte) * (EWMA_WEIGHT if self._seconds_per_byte else 1)

    # Shedding.

    def is_shedding(self) -> bool:
        """Whether an upload on a new connection is refused before it is parsed.

        From half the start backlog on; and while refusals are many, until the backlog is low and the queue has room.
        To parse and refuse an upload costs half of what it costs to store a small one: the more came, the fewer would
        be stored.
        """
        waiting = self._starts.waiting
        many = self._refusals.at(self._now()) > SHEDDING_RATE
        return waiting >= START_BACKLOG_LIMIT // 2 or (many and (self.full or waiting >= START_BACKLOG_LOW))

    def refuse(self, at_least: float = 0.0) -> int:
        """Note a refusal; returns its Retry-After in seconds.

        Retries are spread: with one time for all, clients would return together; with a short one, refusing them again
        would leave no time to store anything.
        """
        now = self._now()
        self._refusals.add(now)
        self._next_return = max(now, self._next_return) + 1 / RETRIES_PER_SECOND
        wait = max(at_least, min(self._next_return - now, MAX_RETRY_AFTER))
        return 1 + int(wait) + secrets.randbelow(3)

    def _overloaded(self, account_id: str) -> Fault:
        return overloaded(self.refuse(at_least=self.expected_wait(account_id)))


class Slot:
    """One upload's permission: first to send, then to be worked on. One owner, one release that is safe to repeat."""

    def __init__(self, queue: UploadQueue, account_id: str) -> None:
        self._queue = queue
        self._account_id = account_id
        self._receiving = True
        self._size: int | None = None
        self._release_worker: Callable[[int], None] | None = None

    async def begin_work(self, size: int) -> None:
        """The body is here: release the permission to send, and wait for a worker. Raises Fault("overloaded").

        The body counts until `release`: it is still to be stored.
        """
        self._stop_receiving()
        self._queue.enqueue(self._account_id, size)
        self._size = size
        self._release_worker = await self._queue.acquire_worker(self._account_id)

    def end_work(self) -> None:
        """The worker has done its part."""
        if self._release_worker:
            self._release_worker(self._size or 0)
            self._release_worker = None

    def release(self) -> None:
        """Release whatever is held."""
        self._stop_receiving()
        if self._size is not None:
            self._queue.dequeue(self._account_id, self._size)
            self._size = None

    def _stop_receiving(self) -> None:
        if self._receiving:
            self._receiving = False
            self._queue.received(self._account_id)


class _DecayingRate:
    """Events per second, decayed exponentially over about a second."""

    def __init__(self) -> None:
        self._rate = 0.0
        self._at = 0.0

    def add(self, now: float) -> None:
        self._rate, self._at = self.at(now) + 1, now

    def at(self, now: float) -> float:
        return self._rate * math.exp(min(0.0, self._at - now))


def _add(counter: Counter[str], key: str, number: int) -> None:
    """Add to a count, and drop it at zero: there is one for each account that is busy."""
    counter[key] += number
    if not counter[key]:
        del counter[key]
