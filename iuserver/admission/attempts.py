"""Limits on wrong passwords: sliding windows of a minute, for each group of guesses and each member of one."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable

from cachetools import TTLCache

from iuserver.errors import Fault

MAX_KEYS = 100_000
MINUTE = 60
HOUR = 3600


class AttemptLimiter:
    """At most `per_member` wrong guesses of a member of a group within any minute, and `per_group` of all its members;
    `clock` gives seconds.

    Of an image's password the group is its slug, a member an address. With `first_is_free`, a member's first guess of
    the hour is verified even beyond `per_group`, so that attackers cannot lock out those who know the password. At the
    sign-in the group is a network, a member an account that is tried from there: strangers elsewhere lock nobody out.

    A correct password costs nothing; it counts while it is being verified, so that concurrent attempts gain nothing
    over sequential ones.
    """

    def __init__(
        self, per_member: int, per_group: int, clock: Callable[[], float], *, first_is_free: bool = True
    ) -> None:
        self._per_member = per_member
        self._per_group = per_group
        self._clock = clock
        self._first_is_free = first_is_free
        self._made: TTLCache[Hashable, list[float]] = TTLCache(MAX_KEYS, ttl=2 * MINUTE, timer=clock)
        self._hour: TTLCache[Hashable, None] = TTLCache(MAX_KEYS, ttl=HOUR, timer=clock)

    def begin(self, group: str, member: str) -> Callable[[], None]:
        """Count an attempt; returns a function that undoes it. Raises Fault("rate_limited")."""
        now, key = self._clock(), (group, member)
        first = key not in self._hour
        self._check(key, self._per_member, now)
        if not (first and self._first_is_free):
            self._check(group, self._per_group, now)
        for counted, most in ((key, self._per_member), (group, self._per_group)):
            self._made[counted] = [*self._lately(counted, now), now][-most:]
        self._hour[key] = None

        def take_back() -> None:
            for counted in (key, group):
                self._made[counted] = _without(now, self._made.get(counted, ()))
            if first:
                self._hour.pop(key, None)

        return take_back

    def is_used_up(self, group: str, member: str) -> bool:
        """Whether a member has no guess left."""
        return len(self._lately((group, member), self._clock())) >= self._per_member

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
