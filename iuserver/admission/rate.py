"""Rate limits: a token bucket per caller."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from cachetools import LRUCache

from iuserver.records import Allowance

MAX_BUCKETS = 100_000


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class TokenBuckets:
    """A bucket of `per_minute` tokens per key, filled evenly; 0 means no limit. `clock` gives seconds.

    Of more than MAX_BUCKETS callers, the most recent ones are remembered; the others start again with a full bucket.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._buckets: LRUCache[Hashable, _Bucket] = LRUCache(MAX_BUCKETS)

    def take(self, key: Hashable) -> Allowance:
        """Take a token if there is one; returns how many are left."""
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
