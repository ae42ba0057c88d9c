"""MongoDB: changes of records, of many at once, and of folders, which stand inside their account.

mongo_commits.py makes moves between folders and deletions atomic.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from pymongo import ReturnDocument

from iuserver.catalog.mongo_commits import Moves, Steps, Transactions
from iuserver.catalog.mongo_documents import (
    Document,
    Store,
    becoming,
    folder_of,
    has_folder,
    named,
    same_record,
)
from iuserver.errors import Fault, name_taken, no_such_folder
from iuserver.policy import RETRY_SECONDS
from iuserver.records import Folder, Image


class Changes:
    """The methods of the port, without their deadlines."""

    def __init__(self, store: Store, atomic: Transactions | Steps) -> None:
        self._store = store
        self._atomic = atomic

    async def change_image(self, before: Image, after: Image) -> bool:
        async def work(session: Any) -> tuple[bool, Moves]:
            update = {name: values for name, values in becoming(before, after).items() if values}
            if not update:
                return True, Counter()
            changed = await self._store.images.update_one(same_record(before), update, session=session)
            return bool(changed.matched_count), _one_move(before, after) if changed.matched_count else Counter()

        if before.folder == after.folder:
            return (await work(None))[0]
        return await self._atomic.moving(before.account_id, after.folder, work)

    async def move_images(self, account_id: str, slugs: list[str], folder: str | None, now: int) -> set[str]:
        async def work(session: Any) -> tuple[set[str], Moves]:
            cursor = self._store.images.find(named(account_id, slugs, now), {"folder": 1}, session=session)
            found = {document["_id"]: document.get("folder") async for document in cursor}
            moves: Moves = Counter()
            for origin in set(found.values()) - {folder}:
                there = [slug for slug, place in found.items() if place == origin]
                moves.update(await self._move(account_id, there, origin, folder, session))
            return set(found), moves

        return await self._atomic.moving(account_id, folder, work)

    async def _move(
        self, account_id: str, slugs: list[str], origin: str | None, target: str | None, session: Any
    ) -> Moves:
        """Move those of these images that are in a folder to another; returns how the folders' numbers change."""
        which = {"_id": {"$in": slugs}, "account_id": account_id, "folder": origin}
        update: Document = {"$unset": {"folder": 1}} if target is None else {"$set": {"folder": target}}
        moved = (await self._store.images.update_many(which, update, session=session)).modified_count
        return Counter({origin: -moved, target: moved})

    async def rename_folder(self, account_id: str, slug: str, name: str) -> Folder:
        others = {"folders": {"$not": {"$elemMatch": {"name": name, "slug": {"$ne": slug}}}}}
        found = await self._store.accounts.find_one_and_update(
            {"$and": [has_folder(account_id, slug), others]},
            {"$set": {"folders.$[renamed].name": name}},
            {"folders": 1},
            array_filters=[{"renamed.slug": slug}],
            return_document=ReturnDocument.AFTER,
        )
        if found is None:
            raise name_taken(name) if await self._has_folder(account_id, slug) else no_such_folder()
        return next(folder_of(account_id, folder) for folder in found["folders"] if folder["slug"] == slug)

    async def remove_folder(self, account_id: str, slug: str, limit: int) -> bool:
        async def work(session: Any) -> tuple[int, Moves]:
            inside = {"account_id": account_id, "folder": slug}
            cursor = self._store.images.find(inside, {"_id": 1}, session=session).limit(limit)
            slugs = [document["_id"] async for document in cursor]
            moves = await self._move(account_id, slugs, slug, None, session)
            return moves[None], moves

        if not await self._has_folder(account_id, slug):
            raise no_such_folder()
        if await self._atomic.moving(account_id, None, work):
            return False  # there may be more
        # An upload into it counts there before its record is stored.
        empty = {"$or": [{f"shelves.{slug}": {"$exists": False}}, {f"shelves.{slug}": {"$lte": 0}}]}
        gone = {"$pull": {"folders": {"slug": slug}}, "$unset": {f"shelves.{slug}": 1}}
        if not (await self._store.accounts.update_one(has_folder(account_id, slug) | empty, gone)).matched_count:
            raise Fault("in_progress", "An upload into this folder is under way", retry_after=RETRY_SECONDS)
        return True

    async def _has_folder(self, account_id: str, slug: str) -> bool:
        return await self._store.accounts.find_one(has_folder(account_id, slug), {"_id": 1}) is not None


def _one_move(before: Image, after: Image) -> Moves:
    return Counter({before.folder: -1, after.folder: 1})
