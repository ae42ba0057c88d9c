"""MongoDB: the port Overview."""

from __future__ import annotations

import re

from iuserver.catalog.mongo_base import MongoBase, bulk_read
from iuserver.catalog.mongo_documents import ACCOUNT_ONLY, RECORD_ONLY, Document, account_of, folded, image_of
from iuserver.records import Account, OwnedImage


class MongoOverview(MongoBase):
    """The port's methods."""

    @bulk_read
    async def accounts_page(self, text: str, after: str, limit: int) -> list[Account]:
        which = {"address": {"$gt": folded(after), "$regex": re.escape(folded(text))}}
        cursor = self._store.accounts.find(which, ACCOUNT_ONLY).sort("address", 1).limit(limit)
        return [account_of(document) async for document in cursor]

    @bulk_read
    async def newest_images(self, before: tuple[int, str] | None, limit: int) -> list[OwnedImage]:
        which: Document = {"account_id": {"$exists": True}, "blob": {"$exists": True}, "buried_at": None}
        if before:
            at, slug = before
            which["$or"] = [{"created_at": {"$lt": at}}, {"created_at": at, "_id": {"$lt": slug}}]
        cursor = self._store.images.find(which, RECORD_ONLY).sort([("created_at", -1), ("_id", -1)]).limit(limit)
        images = [image_of(document) async for document in cursor]
        emails = await self._emails({image.account_id for image in images})
        return [OwnedImage(image, emails[image.account_id]) for image in images if image.account_id in emails]

    @bulk_read
    async def all_stored_bytes(self) -> int:
        total = {"$group": {"_id": None, "stored_bytes": {"$sum": "$stored_bytes"}}}
        found = await self._store.accounts.aggregate([total]).to_list(1)
        return int(found[0]["stored_bytes"]) if found else 0

    async def _emails(self, account_ids: set[str]) -> dict[str, str]:
        cursor = self._store.accounts.find({"_id": {"$in": [*account_ids]}}, {"email": 1})
        return {document["_id"]: document["email"] async for document in cursor}
