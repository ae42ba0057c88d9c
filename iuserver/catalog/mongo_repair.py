"""MongoDB: finishes or rolls back steps that a crash interrupted, and corrects counts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from iuserver.catalog.mongo_commits import (
    buried_by,
    finish_burial,
    finish_commit,
    finish_deletion,
    going_of,
    record_of,
    take_back,
)
from iuserver.catalog.mongo_documents import ACCOUNT_ONLY, ROOT, Document, Store, account_of, image_of
from iuserver.records import AccountCounts

UNSETTLED = {**ACCOUNT_ONLY, "pending": 1, "burying": 1, "moving": 1, "settled": 1, "shelves": 1}
"""A projection: the account, what is under way, and the numbers of its images."""


@dataclass(slots=True)
class _True:
    """An account's counts as its records and its ledger rows say they should be."""

    stored_bytes: int
    used: int
    folder_counts: dict[str, int]

    def document(self) -> Document:
        """The counts as an account's document has them."""
        return {"stored_bytes": self.stored_bytes, "used": self.used, "shelves": self.folder_counts}

    def misplaced(self, account: Document) -> int:
        """By how many images the numbers that the account keeps for its folders are off."""
        kept = account.get("shelves", {})
        return sum(
            abs(kept.get(name, 0) - self.folder_counts.get(name, 0)) for name in kept.keys() | self.folder_counts.keys()
        )


class _Apart:
    """Things done one after the other, each by itself: the first error is raised when all others are done."""

    def __init__(self) -> None:
        self._count = 0
        self._error: Exception | None = None

    async def do(self, work: Awaitable[int]) -> None:
        try:
            self._count += await work
        except Exception as error:
            self._error = self._error or error

    def done(self) -> int:
        """How many there were. Raises what one of them has raised."""
        if self._error:
            raise self._error
        return self._count


class Repair:
    """`clock` gives unix seconds."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    async def unsettled(self, before: int) -> int:
        """How many commits, deletions, burials and moves `settle` would find."""
        deletions = await self._store.images.count_documents({"going_at": {"$lt": before}})
        return int(deletions) + sum([await self._entries(name, before) for name in ("pending", "burying", "moving")])

    async def _entries(self, name: str, before: int) -> int:
        """How many entries of a kind accounts have from before a time."""
        old = {"$match": {f"{name}.at": {"$lt": before}}}
        counting = [old, {"$unwind": f"${name}"}, old, {"$group": {"_id": None, "n": {"$sum": 1}}}]
        found = await self._store.accounts.aggregate(counting).to_list(1)
        return int(found[0]["n"]) if found else 0

    async def settle(self, before: int, limit: int) -> int:
        """Go on with up to `limit` of each kind of what began before a time, and tell how many there were."""
        apart = _Apart()
        await apart.do(self._settle_commits(before, limit))
        await apart.do(self._settle_burials(before, limit))
        await apart.do(self._forget_moves(before, limit))
        await apart.do(self._settle_deletions(before, limit))
        await apart.do(self._forget_settled(limit))
        return apart.done()

    async def _settle_commits(self, before: int, limit: int) -> int:
        """A commit whose record is there has happened; any other one has not."""
        apart = _Apart()
        async for account in self._store.accounts.find({"pending.at": {"$lt": before}}, UNSETTLED).limit(limit):
            for entry in [entry for entry in account["pending"] if entry["at"] < before]:
                await apart.do(self._settle_commit(account, entry))
        return apart.done()

    async def _settle_commit(self, account: Document, entry: Document) -> int:
        stored = await record_of(self._store, entry["slug"], entry["blob"])
        if stored:
            await finish_commit(self._store, account_of(account), entry, image_of(stored))
        elif await going_of(self._store, entry):
            return 0  # it was stored and counts: the deletion takes the entry away
        else:
            await take_back(self._store, account["_id"], entry)
        return 1

    async def _settle_burials(self, before: int, limit: int) -> int:
        """A burial whose tombstone is there has happened; any other one has not."""
        apart = _Apart()
        async for account in self._store.accounts.find({"burying.at": {"$lt": before}}, UNSETTLED).limit(limit):
            for burial in [burial for burial in account["burying"] if burial["at"] < before]:
                await apart.do(self._settle_burial(account, burial))
        return apart.done()

    async def _settle_burial(self, account: Document, burial: Document) -> int:
        stone = await buried_by(self._store, burial)
        await finish_burial(self._store, account["_id"], burial, stone is not None)
        return 1

    async def _forget_moves(self, before: int, limit: int) -> int:
        """Whatever of a move has happened, counts and records are compared again from now on."""
        old = {"at": {"$lt": before}}
        accounts = self._store.accounts.find({"moving.at": {"$lt": before}}, {"moving": 1}).limit(limit)
        count = 0
        async for account in accounts:
            await self._store.accounts.update_one({"_id": account["_id"]}, {"$pull": {"moving": old}})
            count += sum(entry["at"] < before for entry in account["moving"])
        return count

    async def _settle_deletions(self, before: int, limit: int) -> int:
        apart = _Apart()
        async for going in self._store.images.find({"going_at": {"$lt": before}}).limit(limit):
            await apart.do(self._take_over(going, before))
        return apart.done()

    async def _take_over(self, going: Document, before: int) -> bool:
        """Finish a deletion, unless somebody else has taken it over."""
        mine = {"$set": {"going_at": int(self._clock())}}
        found = await self._store.images.find_one_and_update({"_id": going["_id"], "going_at": {"$lt": before}}, mine)
        if found:
            await finish_deletion(self._store, found["going"], found["going_until"])
        return found is not None

    async def _forget_settled(self, limit: int) -> int:
        """Take away what guarded deletions that have ended."""
        apart = _Apart()
        async for account in self._store.accounts.find({"settled.slug": {"$gt": ""}}, UNSETTLED).limit(limit):
            for entry in account["settled"]:
                await apart.do(self._forget(account, entry))
        return apart.done()

    async def _forget(self, account: Document, entry: Document) -> int:
        if await going_of(self._store, entry):
            return 0
        await self._store.accounts.update_one({"_id": account["_id"]}, {"$pull": {"settled": entry}})
        return 1

    # Counts. An account that has changed between two looks, or has something under way, counts as correct: the next
    # sweep sees it again. Two equal looks have nothing in between, as a commit always counts up and a deletion down.

    async def counts(self, month: str, after_id: str, limit: int) -> list[AccountCounts]:
        page = await self._accounts({"_id": {"$gt": after_id}}, limit)
        true = await self._true(page, month)
        again = {account["_id"]: account for account in await self._accounts({"_id": {"$in": list(true)}}, limit)}
        busy = await self._going(true)
        counts = []
        for account in page:
            key, used = account["_id"], account["used"] if account["month"] >= month else 0
            kept = (account["stored_bytes"], used)
            still = key not in busy and again.get(key) == account and not _under_way(account)
            true_bytes, true_used = (true[key].stored_bytes, true[key].used) if still else kept
            misplaced = true[key].misplaced(account) if still else 0
            counts.append(AccountCounts(key, account["email"], kept[0], true_bytes, used, true_used, misplaced))
        return counts

    async def repair_counts(self, account_id: str, month: str) -> None:
        page = await self._accounts({"_id": account_id}, 1)
        true = await self._true(page, month)
        if not page or _under_way(page[0]) or await self._going(true):
            return
        unchanged = {name: page[0].get(name) for name in ("_id", "stored_bytes", "used", "month", "shelves")}
        unchanged |= {f"{name}.at": {"$exists": False} for name in ("pending", "burying", "moving")}
        unchanged["settled.blob"] = {"$exists": False}
        repaired = true[account_id].document() | {"month": max(page[0]["month"], month)}
        await self._store.accounts.update_one(unchanged, {"$set": repaired})

    async def _accounts(self, which: Document, limit: int) -> list[Document]:
        found: list[Document] = (
            await self._store.accounts.find(which, UNSETTLED).sort("_id", 1).limit(limit).to_list(None)
        )
        return found

    async def _true(self, accounts: list[Document], month: str) -> dict[str, _True]:
        """What records and ledger say, by account."""
        months = {account["_id"]: max(account["month"], month) for account in accounts}
        in_folders = {"a": "$account_id", "f": {"$ifNull": ["$folder", ROOT]}}
        of_these = {"account_id": {"$in": list(months)}}
        sums = await self._grouped(self._store.images, of_these, in_folders, {"size": {"$sum": "$size"}})
        in_months = {"month": {"$in": sorted(set(months.values()))}, "account_id": {"$in": list(months)}}
        rows = await self._grouped(self._store.ledger, in_months, {"a": "$account_id", "m": "$month"}, {})
        counts = {(row["_id"]["a"], row["_id"]["m"]): row["n"] for row in rows}
        true = {key: _True(0, counts.get((key, own), 0), {}) for key, own in months.items()}
        for row in sums:
            true[row["_id"]["a"]].stored_bytes += row["size"]
            true[row["_id"]["a"]].folder_counts[row["_id"]["f"]] = row["n"]
        return true

    async def _grouped(self, collection: Any, which: Document, by: Document, more: Document) -> list[Document]:
        pipeline = [{"$match": which}, {"$group": {"_id": by, "n": {"$sum": 1}, **more}}]
        found: list[Document] = await collection.aggregate(pipeline).to_list(None)
        return found

    async def _going(self, account_ids: Iterable[str]) -> set[str]:
        """Which of these accounts have a deletion under way."""
        found = self._store.images.find({"going.account_id": {"$in": list(account_ids)}}, {"going.account_id": 1})
        return {document["going"]["account_id"] async for document in found}


def _under_way(account: Document) -> bool:
    return any(account.get(name) for name in ("pending", "burying", "moving", "settled"))
