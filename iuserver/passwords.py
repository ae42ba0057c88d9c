"""Passwords, hashed with argon2id off the event loop, two at a time.

Source: RFC 9106; the parameters are OWASP's (19 MiB, t=2, p=1). The library's default of 64 MiB a hash would let a
few dozen requests use up the machine's memory.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from iuserver.threads import Crew, perform_each

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


class Passwords:
    """Hashes passwords, and compares them with their hashes, in two threads of its own."""

    def __init__(self) -> None:
        self._crew: Crew[Callable[[], Any]] = Crew("password", 2, perform_each)

    async def hash(self, password: str) -> str:
        """The encoded hash (PHC string) of a password."""
        encoded: str = await self._crew.run(partial(_hasher.hash, password))
        return encoded

    async def verify(self, encoded: str, password: str) -> bool:
        """Whether this is the password of an encoded hash."""
        right: bool = await self._crew.run(partial(_verify, encoded, password))
        return right

    async def close(self) -> None:
        """Let the threads go."""
        await self._crew.close()


def _verify(encoded: str, password: str) -> bool:
    try:
        return _hasher.verify(encoded, password)
    except VerifyMismatchError:
        return False
