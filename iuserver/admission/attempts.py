"""Limits on wrong passwords: sliding windows of a minute per slug and address, and per slug."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable

from cachetools import TTLCache

from iuserver.errors import Fault

MAX_KEYS = 100_000
MINUTE = 60
HOUR = 3600


class AttemptLimiter:
    """At most `per_address` wrong guesses of a slug's password from one address within any minute, and `per_slug` from
    all; `clock` gives seconds.

    Beyond the latter an address' first guess of the hour is still verified, so that attackers cannot lock out those who
    know the password. A correct password costs nothing; it counts while it is being verified, so that concurrent
    attempts gain nothing over sequential ones.
    """

    def __init__(self, per_address: int, per_slug: int, clock: Callable[[], float]) -> None:
        self._per_address = per_address
        self._per_slug = per_slug
        self._clock = clock
        self._made: TTLCache[Hashable, list[float]] = TTLCache(MAX_KEYS, ttl=2 * MINUTE, timer=clock)
        self._hour: TTLCache[Hashable, None] = TTLCache(MAX_KEYS, ttl=HOUR, timer=clock)

    def begin(self, slug: str, address: str) -> Callable[[], None]:
        """Count an attempt; returns a function that undoes it. Raises Fault("rate_limited")."""
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
