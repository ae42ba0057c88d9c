"""Copying blobs: several at a time, each with the SHA-256 of its bytes."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import BinaryIO, TypeVar

from iuserver.ports import BlobStore

PARALLEL = 8
T = TypeVar("T")


async def for_each(items: AsyncIterator[T], work: Callable[[T], Awaitable[None]]) -> None:
    """Do something with each item, `PARALLEL` at a time. The first exception ends the others, and is raised."""
    turn = asyncio.Lock()  # an iterator gives one at a time

    async def take_some() -> None:
        while True:
            async with turn:
                item = await anext(items, None)
            if item is None:
                return
            await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(PARALLEL):
                group.create_task(take_some())
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


async def digest_of(store: BlobStore, key: str, copy: BinaryIO | None = None) -> bytes:
    """The SHA-256 of a blob's bytes, which are written to `copy` as well. Raises Fault("not_found")."""
    digest = hashlib.sha256()
    with contextlib.closing(await store.open(key)) as blob:
        async for chunk in blob.read(0, blob.size):
            digest.update(chunk)
            if copy:
                copy.write(chunk)
    return digest.digest()
