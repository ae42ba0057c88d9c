"""When keys and sessions were last used: noted in memory by the request, written later for many of them at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from iuserver.policy import day_start
from iuserver.ports import Credentials, Sessions
from iuserver.records import Account, Session

SEEN_SECONDS = 3600
"""A session's `seen_at` is written so rarely."""


class Uses(Credentials, Sessions, Protocol):
    """The ports that uses are written to."""


class LastUsed:
    """What is noted and not yet written. A key is written once a day at most, a session once an hour.

    What is noted is lost when the server dies before the next `flush`; the next request notes it again.
    """

    def __init__(self, catalog: Uses, clock: Callable[[], float]) -> None:
        self._catalog = catalog
        self._clock = clock
        self._keys: set[bytes] = set()
        self._sessions: set[bytes] = set()

    def key_used(self, account: Account) -> None:
        """Note that an account's key was used."""
        if account.key_used_on != day_start(self._clock()):
            self._keys.add(account.key_hash)

    def session_seen(self, session: Session) -> None:
        """Note that a session was used."""
        if self._clock() - session.seen_at >= SEEN_SECONDS:
            self._sessions.add(session.hash)

    async def flush(self) -> None:
        """Write what is noted. Raises Fault("storage_unavailable")."""
        now = self._clock()
        keys, self._keys = self._keys, set()
        sessions, self._sessions = self._sessions, set()
        if keys:
            await self._catalog.note_key_uses([*keys], day_start(now))
        if sessions:
            await self._catalog.note_sessions_seen([*sessions], int(now))
