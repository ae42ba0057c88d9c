"""MongoDB: the port Invites."""

from __future__ import annotations

from iuserver.catalog.mongo_base import MongoBase, bulk_read, prompt, purge
from iuserver.catalog.mongo_documents import keyed_document, keyed_of
from iuserver.records import Invite


class MongoInvites(MongoBase):
    """The port's methods."""

    @prompt
    async def add_invite(self, invite: Invite) -> None:
        await self._store.invites.insert_one(keyed_document(invite))

    @prompt
    async def invite(self, hash: bytes) -> Invite | None:
        found = await self._store.invites.find_one({"_id": hash})
        return keyed_of(Invite, found) if found else None

    @bulk_read
    async def invites(self) -> list[Invite]:
        cursor = self._store.invites.find().sort([("created_at", -1), ("_id", 1)])
        return [keyed_of(Invite, document) async for document in cursor]

    @prompt
    async def take_invite(self, hash: bytes) -> bool:
        return bool((await self._store.invites.delete_one({"_id": hash})).deleted_count)

    @bulk_read
    async def purge_invites(self, now: int, limit: int) -> int:
        return await purge(self._store.invites, {"expires_at": {"$lte": now}}, limit)
