"""MongoDB: the collections of a catalog, and the deadlines of what is asked of them. What is kept, the other files
know."""

from __future__ import annotations

import functools
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

import pymongo
from cachetools import TTLCache
from pymongo import ReturnDocument
from pymongo.errors import ConnectionFailure, OperationFailure

from iuserver.catalog.mongo_documents import ACCOUNT_ONLY, Document, Store, account_of, folded
from iuserver.errors import Fault
from iuserver.records import Account

P = ParamSpec("P")
T = TypeVar("T")
B = TypeVar("B", bound="MongoBase")

ANSWER_SECONDS = 5.0
"""A method answers within this time, whatever happens: an upload's client waits for it. All that it asks of the
server shares it, waiting for a primary included; an election that takes longer is answered with a 502."""
LOOKUP_SECONDS = 2.0
"""What a lost answer was, is looked up within this time."""
BULK_READ_SECONDS = 60.0
"""Deadline of bulk reads and deletes, by the janitor and commands alone; they check for a reachable server first."""
KEY_SECONDS = 0.5
"""For so long an account is known by its key without asking: a key replaced elsewhere must be dead within a second."""
KEYS = 10_000


def within(seconds: float, method: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    @functools.wraps(method)
    async def limited(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            with pymongo.timeout(seconds):
                return await method(*args, **kwargs)
        except (ConnectionFailure, OperationFailure) as error:
            raise Fault("storage_unavailable", "The catalog is not available") from error

    return limited


def prompt(method: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Decorator of methods that a client waits for: a short deadline; driver errors become a Fault."""
    return within(ANSWER_SECONDS, method)


def bulk_read(
    method: Callable[Concatenate[B, P], Awaitable[T]],
) -> Callable[Concatenate[B, P], Coroutine[Any, Any, T]]:
    """Decorator of methods that may read a lot: a long deadline, after a check that the server is reachable."""
    bulk_reading = within(BULK_READ_SECONDS, method)

    @functools.wraps(method)
    async def patient(self: B, /, *args: P.args, **kwargs: P.kwargs) -> T:
        await self.ping()
        return await bulk_reading(self, *args, **kwargs)

    return patient


class MongoBase:
    """A database that is open."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: TTLCache[bytes, Account] = TTLCache(KEYS, KEY_SECONDS, time.monotonic)
        self._changes = 0

    @prompt
    async def ping(self) -> None:
        """Raises Fault("storage_unavailable") where nobody answers."""
        await self._store.client.admin.command("ping")

    @prompt
    async def _change(self, which: Document, update: Document) -> Account:
        """Change an account. Raises Fault("not_found")."""
        found = await self._store.accounts.find_one_and_update(
            which, update, projection=ACCOUNT_ONLY, return_document=ReturnDocument.AFTER
        )
        self._forget()
        if found is None:
            raise no_account(str(next(iter(which.values()))))
        return account_of(found)

    def _forget(self, key_hash: bytes | None = None) -> None:
        """Drop an account, or all, from the cache: it has changed."""
        self._changes += 1
        if key_hash is None:
            self._known.clear()
        else:
            self._known.pop(key_hash, None)


def by_email(email: str) -> Document:
    """The filter of the account with an address."""
    return {"address": folded(email)}


def no_account(which: str) -> Fault:
    """There is no account with this address, or this id."""
    return Fault("not_found", f"There is no account with the {'address' if '@' in which else 'id'} {which}")


async def purge(collection: Any, which: Document, limit: int) -> int:
    """Delete up to `limit` documents; returns how many."""
    ids = [document["_id"] async for document in collection.find(which, {"_id": 1}).limit(limit)]
    deleted = await collection.delete_many({"$and": [{"_id": {"$in": ids}}, which]}) if ids else None
    return deleted.deleted_count if deleted else 0
