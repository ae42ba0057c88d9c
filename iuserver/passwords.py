"""Passwords, hashed with argon2id off the event loop, two at a time.

Source: RFC 9106; the parameters are OWASP's (19 MiB, t=2, p=1). The library's default of 64 MiB a hash would let a
few dozen requests use up the machine's memory.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


class Passwords:
    """Hashes passwords in two threads of its own."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(2, "password")

    async def hash(self, password: str) -> str:
        """The encoded hash (PHC string) of a password."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, _hasher.hash, password)

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown()
