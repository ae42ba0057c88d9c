"""MongoDB: counts views and stores grants, both in the image's document, so that one update does it.

The record is read, `policy.viewed` decides, and the update is conditional on no view having been claimed in between.
"""

from __future__ import annotations

import secrets
from typing import Any

from iuserver.catalog.mongo_commits import KeyedLocks
from iuserver.catalog.mongo_documents import Document, Store, becoming, image_of
from iuserver.policy import viewed
from iuserver.records import Grant, Image


class Views:
    """The methods of the port, without their deadlines."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._locks = KeyedLocks()

    async def claim(
        self, slug: str, blob: str, viewer: bytes, grant: Grant | None, now: int, most_grants: int
    ) -> Image | None:
        word = secrets.token_hex(8)
        async with self._locks.of(slug):
            while found := await self._store.images.find_one({"_id": slug, "blob": blob}):
                if found.get("claim") == word:  # a write whose answer was lost, and that the driver repeated
                    return image_of(found)
                after = _viewed(found, viewer, grant, now)
                update = _update(found, viewer, grant, after, most_grants) if after else None
                if update is None or await self._change(found, update, word):
                    return after
        return None

    async def has_grant(self, slug: str, hash: bytes, now: int) -> bool:
        valid = {"hash": hash, "lapses_at": {"$gt": now}}
        return await self._store.images.find_one({"_id": slug, "grants": {"$elemMatch": valid}}, {"_id": 1}) is not None

    async def purge_grants(self, now: int, limit: int) -> int:
        """The records are taken one by one until there are enough, so that it may be some more."""
        lapsed = {"grants.lapses_at": {"$lte": now}}
        ids, count = [], 0
        async for document in self._store.images.find(lapsed, {"grants.lapses_at": 1}).limit(limit):
            ids.append(document["_id"])
            count += sum(grant["lapses_at"] <= now for grant in document["grants"])
            if count >= limit:
                break
        if ids:
            pull = {"$pull": {"grants": {"lapses_at": {"$lte": now}}}}
            await self._store.images.update_many({"_id": {"$in": ids}}, pull)
        return count

    async def _change(self, found: Document, update: Document, word: str) -> bool:
        """Change a record, unless somebody has been faster."""
        unclaimed = {"_id": found["_id"], "blob": found["blob"], "claim": found.get("claim")}
        update["$set"] |= {"claim": word}
        return bool((await self._store.images.update_one(unclaimed, update)).matched_count)


def _viewed(found: Document, viewer: bytes, grant: Grant | None, now: int) -> Image | None:
    granted = [kept["lapses_at"] for kept in found.get("grants", [])] + ([grant.lapses_at] if grant else [])
    return viewed(image_of(found), viewer in found.get("viewers", []), max(granted, default=0), now)


def _update(found: Document, viewer: bytes, grant: Grant | None, after: Image, most_grants: int) -> Document | None:
    """What is to be changed, if anything."""
    pushed: dict[str, Any] = {}
    if viewer not in found.get("viewers", []):
        pushed["viewers"] = viewer
    if grant:
        kept = {"hash": grant.hash, "lapses_at": grant.lapses_at}
        pushed["grants"] = {"$each": [kept], "$sort": {"lapses_at": 1}, "$slice": -most_grants}
    return {**becoming(image_of(found), after), "$push": pushed} if pushed else None
