"""Password hashing with argon2id, off the event loop, one at a time per lane.

Source: RFC 9106; the parameters are OWASP's (19 MiB, t=2, p=1). The library's default of 64 MiB a hash would let a
few dozen requests use up the machine's memory.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from iuserver.admission.fairness import FairSemaphore
from iuserver.errors import Fault
from iuserver.threads import WorkerThreads, perform_each

RETRY_SECONDS = 2

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

NOBODYS = f"$argon2id$v=19$m={_hasher.memory_cost},t={_hasher.time_cost},p=1${'A' * 22}${'A' * 43}"
"""The encoded hash of no known password: to compare with it is the same work as with any other."""


class Passwords:
    """A queue and a thread of its own that hashes passwords and compares them with their hashes.

    At most `waiting` callers wait for the thread, `per_caller` times the same one, in round-robin order of callers. One
    more is refused: every method raises Fault("overloaded").
    """

    def __init__(self, waiting: int, per_caller: int) -> None:
        self._permit = FairSemaphore(1, backlog=waiting, backlog_per_account=per_caller)
        self._thread: WorkerThreads[Callable[[], Any]] = WorkerThreads("password", 1, perform_each)

    async def hash(self, password: str, caller: str) -> str:
        """The encoded hash (PHC string) of a password."""
        encoded: str = await self._run(partial(_hasher.hash, password), caller)
        return encoded

    async def verify(self, encoded: str, password: str, caller: str) -> bool:
        """Whether this is the password of an encoded hash."""
        right: bool = await self._run(partial(_verify, encoded, password), caller)
        return right

    async def _run(self, work: Callable[[], Any], caller: str) -> Any:
        if not await self._permit.acquire(caller):
            raise Fault("overloaded", "Too many passwords are being checked, retry shortly", retry_after=RETRY_SECONDS)
        try:
            return await self._thread.run(work)
        finally:
            self._permit.release(caller)

    async def close(self) -> None:
        """Let the thread go."""
        await self._thread.close()


def _verify(encoded: str, password: str) -> bool:
    try:
        return _hasher.verify(encoded, password)
    except VerifyMismatchError:
        return False
