"""MongoDB: the port Sessions."""

from __future__ import annotations

from typing import Any

from iuserver.catalog.mongo_base import MongoBase, bulk_read, prompt, purge
from iuserver.catalog.mongo_documents import ACCOUNT_ONLY, Document, account_of, keyed_document, keyed_of
from iuserver.records import Account, Session, SignInLink

LATEST = [("seen_at", -1), ("_id", 1)]


class MongoSessions(MongoBase):
    """The port's methods."""

    @prompt
    async def add_session(self, session: Session, most: int) -> None:
        await self._store.sessions.insert_one(keyed_document(session))
        surplus = self._store.sessions.find({"account_id": session.account_id}, {"_id": 1}).sort(LATEST).skip(most)
        if hashes := [document["_id"] async for document in surplus]:
            await self._store.sessions.delete_many({"_id": {"$in": hashes}})

    @prompt
    async def session(self, hash: bytes) -> tuple[Session, Account] | None:
        found = await _with_account(self._store.sessions, hash)
        return (keyed_of(Session, found), account_of(found["account"])) if found else None

    @prompt
    async def sessions_of(self, account_id: str) -> list[Session]:
        cursor = self._store.sessions.find({"account_id": account_id}).sort(LATEST)
        return [keyed_of(Session, document) async for document in cursor]

    @bulk_read
    async def last_seen(self, account_ids: list[str]) -> dict[str, int]:
        which = {"$match": {"account_id": {"$in": account_ids}}}
        latest = {"$group": {"_id": "$account_id", "seen_at": {"$max": "$seen_at"}}}
        return {found["_id"]: found["seen_at"] async for found in self._store.sessions.aggregate([which, latest])}

    @prompt
    async def note_sessions_seen(self, hashes: list[bytes], now: int) -> None:
        await self._store.sessions.update_many({"_id": {"$in": hashes}}, {"$max": {"seen_at": now}})

    @prompt
    async def end_session(self, hash: bytes) -> None:
        await self._store.sessions.delete_one({"_id": hash})

    @prompt
    async def end_sessions(self, account_id: str) -> None:
        await self._store.sessions.delete_many({"account_id": account_id})
        await self._store.sign_in_links.delete_many({"account_id": account_id})

    @bulk_read
    async def purge_sessions(self, created_before: int, seen_before: int, limit: int) -> int:
        old = {"$or": [{"seen_at": {"$lt": seen_before}}, {"created_at": {"$lt": created_before}}]}
        return await purge(self._store.sessions, old, limit)

    @prompt
    async def add_link(self, link: SignInLink) -> None:
        await self._store.sign_in_links.insert_one(keyed_document(link))

    @prompt
    async def link(self, hash: bytes) -> tuple[SignInLink, Account] | None:
        found = await _with_account(self._store.sign_in_links, hash)
        return (keyed_of(SignInLink, found), account_of(found["account"])) if found else None

    @prompt
    async def take_link(self, hash: bytes) -> bool:
        return bool((await self._store.sign_in_links.delete_one({"_id": hash})).deleted_count)

    @bulk_read
    async def purge_links(self, now: int, limit: int) -> int:
        return await purge(self._store.sign_in_links, {"expires_at": {"$lte": now}}, limit)

    @bulk_read
    async def ownerless(self) -> int:
        return sum([len(await _ownerless(collection)) for collection in self._collections()])

    @bulk_read
    async def purge_ownerless(self, limit: int) -> int:
        count = 0
        for collection in self._collections():
            which = {"_id": {"$in": (await _ownerless(collection))[:limit]}}
            count += (await collection.delete_many(which)).deleted_count
        return count

    def _collections(self) -> tuple[Any, Any]:
        return self._store.sessions, self._store.sign_in_links


async def _ownerless(collection: Any) -> list[bytes]:
    """The documents of a collection whose account is gone."""
    owner = {"from": "accounts", "localField": "account_id", "foreignField": "_id", "as": "owners"}
    steps = [{"$lookup": owner}, {"$match": {"owners": []}}, {"$project": {"_id": 1}}]
    return [document["_id"] async for document in collection.aggregate(steps)]


async def _with_account(collection: Any, hash: bytes) -> Document | None:
    """A document with that of its account in it, by one read; None where one of them is gone."""
    joined = {
        "from": "accounts",
        "localField": "account_id",
        "foreignField": "_id",
        "as": "account",
        "pipeline": [{"$project": ACCOUNT_ONLY}],
    }
    steps = [{"$match": {"_id": hash}}, {"$lookup": joined}, {"$unwind": "$account"}]
    found: list[Document] = await collection.aggregate(steps).to_list(1)
    return found[0] if found else None
