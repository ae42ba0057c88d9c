"""MongoDB: commits of uploads, deletions, burials and moves, in transactions or, on a single server, in recoverable
steps.

docs/catalog.md, "On MongoDB", lists the steps.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from pymongo import ReplaceOne, ReturnDocument
from pymongo.errors import DuplicateKeyError, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from iuserver.catalog.mongo_documents import (
    ACCOUNT_ONLY,
    FORGETTING,
    RECORD_ONLY,
    Document,
    Store,
    account_of,
    answer,
    becoming,
    chargeable,
    charging,
    claimed,
    folder_path,
    giving_back,
    has_folder,
    idempotent_result,
    image_document,
    image_of,
    key_id,
    ledger_document,
    named,
    pending_entry,
    taking_back,
    with_answer,
)
from iuserver.errors import Fault, not_your_folder
from iuserver.policy import LEASE_SECONDS, buried, charged, claim_lost
from iuserver.records import Account, Charge, Claim, IdempotentResult, Image

T = TypeVar("T")

Moves = Counter[str | None]
"""By how many images the number of each folder changes (None: of the root)."""
Moving = Callable[[Any], Awaitable[tuple[T, Moves]]]
"""What moves images, in a session if there is one: its result, and what it has moved."""

DURABLE = WriteConcern("majority", j=True)
"""What is acknowledged survives the loss of a server, and of power."""
TRIES = 12
FIRST_PAUSE = 0.005
LONGEST_PAUSE = 0.25
LOCK_SECONDS = 2.0
DELETIONS = 16
"""Deletions in steps of one account that are under way at the same time."""
"""Transactions that collided are tried again after a random pause, which doubles up to this; the deadline stands."""


class KeyedLocks:
    """What many of this process want at once, one after the other: who collides at the server must try again."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, name: str) -> asyncio.Lock:
        lock = self._locks.get(name) or asyncio.Lock()
        self._locks[name] = lock
        return lock


class Transactions:
    """Each as one transaction, tried again where it collided with another."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._locks = KeyedLocks()

    async def commit_upload(self, image: Image, charge: Charge, claim: Claim | None) -> Account:
        async def work(session: Any) -> Account:
            account = await _charge(self._store, image, charge, None, session)
            await _store_record(self._store, image, session)
            if charge.counted:
                await self._store.ledger.insert_one(ledger_document(image, account.month), session=session)
            if claim and not await _keep_answer(self._store, claim, image, account, charge.uploads_limit, session):
                raise claim_lost()
            return account

        async with self._locks.of(charge.account_id):
            return await self._transaction(work)

    async def delete_image(self, slug: str, blob: str, keep_slug_until: int) -> Image | None:
        async def work(session: Any) -> Image | None:
            kept = {"kept_until": keep_slug_until}
            found = await self._store.images.find_one_and_replace(
                {"_id": slug, "blob": blob}, kept, RECORD_ONLY, session=session
            )
            if found is None:
                return None
            update = {"$inc": giving_back(found)}
            await self._store.accounts.update_one({"_id": found["account_id"]}, update, session=session)
            await _forget_answer(self._store, blob, session)
            return image_of(found)

        return await self._transaction(work)

    async def bury_image(self, slug: str, blob: str, now: int) -> Image | None:
        async def work(session: Any) -> Image | None:
            image = await _due(self._store, slug, blob, now, session)
            if image is None or not await _put_stone(self._store, image, now, session=session):
                return None
            update = {"$inc": {"stored_bytes": -image.size}}
            await self._store.accounts.update_one({"_id": image.account_id}, update, session=session)
            await _forget_answer(self._store, blob, session)
            return image

        return await self._transaction(work)

    async def delete_images(
        self, account_id: str, slugs: list[str], now: int, keep_slug_until: int
    ) -> list[tuple[str, str]]:
        async def work(session: Any) -> list[tuple[str, str]]:
            cursor = self._store.images.find(named(account_id, slugs, now), RECORD_ONLY, session=session)
            found = [document async for document in cursor]
            if not found:
                return []
            kept = {"kept_until": keep_slug_until}
            replacing = [ReplaceOne({"_id": record["_id"], "blob": record["blob"]}, kept) for record in found]
            await self._store.images.bulk_write(replacing, session=session)
            back: Counter[str] = Counter()
            for record in found:
                back.update(giving_back(record))
            await self._store.accounts.update_one({"_id": account_id}, {"$inc": dict(back)}, session=session)
            blobs = {"blob": {"$in": [record["blob"] for record in found]}}
            await self._store.keys.update_many(blobs, FORGETTING, session=session)
            return [(record["_id"], record["blob"]) for record in found]

        async with self._locked(account_id):
            return await self._transaction(work)

    async def moving(self, account_id: str, folder: str | None, work: Moving[T]) -> T:
        """Move images into a folder, and count them there. Raises Fault("bad_field") if there is no such folder."""

        async def whole(session: Any) -> T:
            if not await self._store.accounts.find_one(has_folder(account_id, folder), {"_id": 1}, session=session):
                raise not_your_folder()
            result, moves = await work(session)
            if update := _counting(moves):
                await self._store.accounts.update_one({"_id": account_id}, update, session=session)
            return result

        async with self._locked(account_id):
            return await self._transaction(whole)

    @contextlib.asynccontextmanager
    async def _locked(self, account_id: str) -> AsyncIterator[None]:
        """Hold the lock of an account, so that nobody else of this process changes many of its records. Raises
        Fault("storage_unavailable") where that takes too long: waiting for the lock has no deadline of the driver's."""
        lock = self._locks.of(account_id)
        try:
            await asyncio.wait_for(lock.acquire(), LOCK_SECONDS)
        except TimeoutError as error:
            raise Fault("storage_unavailable", "The catalog is not available") from error
        try:
            yield
        finally:
            lock.release()

    async def _transaction(self, work: Callable[[Any], Awaitable[T]]) -> T:
        for attempt in itertools.count(1):
            try:
                return await self._attempt(work)
            except PyMongoError as error:
                # The label says that nothing has been committed; without it, that is not known.
                if attempt == TRIES or not error.has_error_label("TransientTransactionError"):
                    raise
            longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**attempt)
            await asyncio.sleep(random.uniform(0, longest))  # noqa: S311  (no secret)
        raise AssertionError("unreachable")

    async def _attempt(self, work: Callable[[Any], Awaitable[T]]) -> T:
        async with await self._store.client.start_session() as session:  # its end undoes what is not committed
            session.start_transaction(ReadConcern("snapshot"), DURABLE, ReadPreference.PRIMARY)
            result = await work(session)
            await session.commit_transaction()
            return result

    async def finish_left(self, account_id: str, claim: Claim) -> IdempotentResult | None:
        """Finish the commit that died with this idempotency key, if there is one: a transaction leaves none."""
        return None


class Steps:
    """Each as updates of single documents, in an order that lets `settle` go on wherever a process died.

    The driver may repeat one whose answer was lost, to a server that does not remember it: none counts twice.

    `clock` gives unix seconds: by these, steps that a crash interrupted are distinguished from those under way.
    """

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    async def commit_upload(self, image: Image, charge: Charge, claim: Claim | None) -> Account:
        now = int(self._clock())
        if claim and not await _hold(self._store, charge.account_id, claim, image.blob, now + LEASE_SECONDS):
            raise claim_lost()
        entry = pending_entry(image, charge, claim, now)
        account = await _charge(self._store, image, charge, entry)
        entry["month"] = account.month
        if charge.counted:
            row = ledger_document(image, account.month)
            await self._store.ledger.replace_one({"_id": row["_id"]}, row, upsert=True)
        try:
            await _store_record(self._store, image)
        except Fault:
            await take_back(self._store, account.id, entry)
            raise
        if not await finish_commit(self._store, account, entry, image):
            await self._store.images.delete_one({"_id": image.slug, "blob": image.blob})
            await self._store.ledger.delete_one({"_id": image.blob})
            raise Fault("invalid_key", "Invalid API key")  # the account has been removed meanwhile
        return account

    async def delete_image(self, slug: str, blob: str, keep_slug_until: int) -> Image | None:
        going = {
            "_id": "$_id",
            "going": "$$ROOT",
            "going_at": int(self._clock()),
            "going_until": keep_slug_until,
        }
        found = await self._store.images.find_one_and_update(
            {"_id": slug, "blob": blob}, [{"$unset": list(RECORD_ONLY)}, {"$replaceWith": going}], RECORD_ONLY
        )
        if found is None:
            return None
        await finish_deletion(self._store, found, keep_slug_until)
        return image_of(found)

    async def bury_image(self, slug: str, blob: str, now: int) -> Image | None:
        image = await _due(self._store, slug, blob, now)
        if image is None:
            return None
        burial = {"id": secrets.token_hex(8), "slug": slug, "blob": blob, "size": image.size, "at": int(self._clock())}
        update = {"$push": {"burying": burial}}
        await self._store.accounts.update_one({"_id": image.account_id, "burying.id": {"$ne": burial["id"]}}, update)
        put = await _put_stone(self._store, image, now, burial)
        happened = put or await buried_by(self._store, burial) is not None
        await finish_burial(self._store, image.account_id, burial, happened)
        return image if put else None

    async def delete_images(
        self, account_id: str, slugs: list[str], now: int, keep_slug_until: int
    ) -> list[tuple[str, str]]:
        cursor = self._store.images.find(named(account_id, slugs, now), {"blob": 1})
        left = iter([(document["_id"], document["blob"]) async for document in cursor])

        async def delete_some(left: Iterator[tuple[str, str]]) -> list[tuple[str, str]]:
            return [which for which in left if await self.delete_image(*which, keep_slug_until)]

        parts = await asyncio.gather(*(delete_some(left) for _ in range(DELETIONS)))
        return [which for part in parts for which in part]

    async def moving(self, account_id: str, folder: str | None, work: Moving[T]) -> T:
        """Move images into a folder, and count them there. Raises Fault("bad_field") if there is no such folder.

        While the account has the entry, nobody compares its counts with its records. An upload into the folder that is
        counted meanwhile does no harm.
        """
        entry = {"id": secrets.token_hex(8), "at": int(self._clock())}
        pushed = await self._store.accounts.update_one(has_folder(account_id, folder), {"$push": {"moving": entry}})
        if not pushed.matched_count:
            raise not_your_folder()
        result, moves = await work(None)
        update = {"$pull": {"moving": {"id": entry["id"]}}, **_counting(moves)}
        await self._store.accounts.update_one({"_id": account_id, "moving.id": entry["id"]}, update)
        return result

    async def finish_left(self, account_id: str, claim: Claim) -> IdempotentResult | None:
        """Finish the commit that died with this idempotency key before the key stood for it, if there is one.

        The claim, which holds the key by now, replaces the one that died.
        """
        document = await self._store.accounts.find_one({"_id": account_id, "pending.key": claim.key})
        for entry in document["pending"] if document else []:
            if entry.get("key") == claim.key and await record_of(self._store, entry["slug"], entry["blob"]):
                await self._store.keys.update_one(claimed(account_id, claim), {"$set": {"blob": entry["blob"]}})
                return await self._finish_left(document, {**entry, "token": claim.token})
        return None

    async def _finish_left(self, account: Document, entry: Document) -> IdempotentResult | None:
        # Read again, now that the key knows the blob: from here on a deletion drops the answer too.
        stored = await record_of(self._store, entry["slug"], entry["blob"])
        which = {"_id": key_id(account["_id"], entry["key"])}
        if stored:
            await finish_commit(self._store, account_of(account), entry, image_of(stored))
        else:
            await self._store.keys.update_one({**which, "token": entry["token"]}, FORGETTING)
        return idempotent_result(await self._store.keys.find_one(which))


# Steps that both ways share, or that `settle` resumes. Each is idempotent.


async def finish_commit(store: Store, account: Account, entry: Document, image: Image) -> bool:
    """The last steps of a commit whose record is stored; False where there is no such account any more."""
    if "token" in entry:
        claim = Claim(entry["key"], entry["token"], entry["fingerprint"])
        await _keep_answer(store, claim, image, account, entry["limit"])
    pulled = await store.accounts.update_one({"_id": account.id}, {"$pull": {"pending": {"blob": entry["blob"]}}})
    return bool(pulled.matched_count)


async def take_back(store: Store, account_id: str, entry: Document) -> None:
    """Undo a commit whose record is not stored. The entry guards it, so that it happens once."""
    await store.ledger.delete_one({"_id": entry["blob"]})
    await store.accounts.update_one({"_id": account_id, "pending.blob": entry["blob"]}, taking_back(entry))


async def finish_deletion(store: Store, record: Document, keep_slug_until: int) -> None:
    """The rest of a deletion: return the bytes to the account, reserve the slug. `settled` guards the bytes.

    An entry that its commit has left pending goes as well: its record confirmed it, and is about to go. So
    does one that its burial has left.
    """
    slug, blob = record["_id"], record["blob"]
    entry = {"slug": slug, "blob": blob}
    await _forget_answer(store, blob)
    if "burial" in record:
        await finish_burial(store, record["account_id"], record["burial"], happened=True)
    await store.accounts.update_one(
        {"_id": record["account_id"], "settled.blob": {"$ne": blob}},
        {
            "$inc": giving_back(record),
            "$push": {"settled": entry},
            "$pull": {"pending": {"blob": blob}},
        },
    )
    await store.images.replace_one({"_id": slug, "going.blob": blob}, {"kept_until": keep_slug_until})
    await store.accounts.update_one({"_id": record["account_id"]}, {"$pull": {"settled": entry}})


async def finish_burial(store: Store, account_id: str, burial: Document, happened: bool) -> None:
    """Give back the bytes of an image that has been buried, or has not. The entry guards it."""
    update: Document = {"$pull": {"burying": {"id": burial["id"]}}}
    if happened:
        if "blob" in burial:  # 0.1.0 did not say which
            await _forget_answer(store, burial["blob"])
        update["$inc"] = {"stored_bytes": -burial["size"]}
    await store.accounts.update_one({"_id": account_id, "burying.id": burial["id"]}, update)


async def buried_by(store: Store, burial: Document) -> Document | None:
    """The tombstone that this burial has made, or its deletion under way."""
    where = {"_id": burial["slug"], "$or": [{"burial.id": burial["id"]}, {"going.burial.id": burial["id"]}]}
    found: Document | None = await store.images.find_one(where)
    return found


async def record_of(store: Store, slug: str, blob: str) -> Document | None:
    """The record of an upload, if it is stored."""
    found: Document | None = await store.images.find_one({"_id": slug, "blob": blob})
    return found


async def going_of(store: Store, entry: Document) -> Document | None:
    """The deletion under way of an entry's record."""
    found: Document | None = await store.images.find_one({"_id": entry["slug"], "going.blob": entry["blob"]})
    return found


async def _charge(store: Store, image: Image, charge: Charge, entry: Document | None, session: Any = None) -> Account:
    """Charge the account, if the rule allows it. Raises Fault as `commit_upload` does, but for the slug."""
    while True:
        found = await store.accounts.find_one_and_update(
            chargeable(image, charge, pending=entry is not None),
            charging(image, charge, entry),
            projection=ACCOUNT_ONLY,
            return_document=ReturnDocument.AFTER,
            session=session,
        )
        found = found or await _refuse(store, image, charge, session)
        if found:
            return account_of(found)


async def _refuse(store: Store, image: Image, charge: Charge, session: Any) -> Document | None:
    """Say why an account is not charged. Returns it where it has been, by a write that the driver repeated.

    Returns None where it would be charged by now: somebody has made room.
    """
    found: Document | None = await store.accounts.find_one({"_id": charge.account_id}, session=session)
    for entry in found.get("pending", []) if found else []:
        if found and entry["blob"] == image.blob:
            return {**found, "month": entry["month"]}
    charged(account_of(found) if found else None, charge, image.size)
    folders = [folder["slug"] for folder in found["folders"]] if found else []
    if image.folder is not None and image.folder not in folders:
        raise Fault("bad_field", "folder is not the slug of a folder of yours")
    return None


async def _store_record(store: Store, image: Image, session: Any = None) -> None:
    """Insert a record, or put it in the place of a kept slug whose time is over. Raises Fault("slug_taken")."""
    free = {"_id": image.slug, "kept_until": {"$lte": image.created_at}}
    try:
        await store.images.replace_one(free, image_document(image), upsert=True, session=session)
    except DuplicateKeyError:
        if session is None and await record_of(store, image.slug, image.blob):
            return  # it is this upload's: stored by a write whose answer was lost, and that the driver repeated
        raise Fault("slug_taken", "This short link is taken") from None


def _counting(moves: Moves) -> Document:
    """The update of the numbers of an account's images by folder; nothing where none changes."""
    changes = {folder_path(folder): number for folder, number in moves.items() if number}
    return {"$inc": changes} if changes else {}


async def _due(store: Store, slug: str, blob: str, now: int, session: Any = None) -> Image | None:
    """The record that is to become a tombstone, if it is to."""
    found = await store.images.find_one({"_id": slug, "blob": blob}, RECORD_ONLY, session=session)
    image = image_of(found) if found else None
    return image if image and buried(image, now) else None


async def _put_stone(store: Store, image: Image, now: int, burial: Document | None = None, session: Any = None) -> bool:
    """Replace a record by its tombstone; False if it has been replaced already."""
    stone = buried(image, now)
    assert stone
    update = becoming(image, stone)
    update["$set"] |= {"burial": burial} if burial else {}
    update["$unset"] |= dict.fromkeys(RECORD_ONLY, 1)
    due = {"_id": image.slug, "blob": image.blob, "let_go_at": image.let_go_at}
    changed = await store.images.update_one(due, update, session=session)
    return bool(changed.matched_count)


async def _hold(store: Store, account_id: str, claim: Claim, blob: str, lease_until: int) -> bool:
    """Hold an idempotency key for a commit, which then has a lease that is far longer than its deadline; False where
    another claim has taken it over. From here on the key knows the blob: who deletes the image finds it."""
    update = {"$set": {"lease_until": lease_until, "blob": blob}}
    return bool((await store.keys.update_one(claimed(account_id, claim), update)).matched_count)


async def _keep_answer(
    store: Store, claim: Claim, image: Image, account: Account, limit: int, session: Any = None
) -> bool:
    """Store the result of a key; False if its claim was lost."""
    update = with_answer(claim.fingerprint, answer(image, account, limit), image.blob)
    kept = await store.keys.update_one(claimed(account.id, claim), update, session=session)
    return bool(kept.matched_count)


async def _forget_answer(store: Store, blob: str, session: Any = None) -> None:
    """Leave of an answer whose image is gone nothing but that its key was used."""
    await store.keys.update_many({"blob": blob}, FORGETTING, session=session)
