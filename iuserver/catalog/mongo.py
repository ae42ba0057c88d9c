"""The MongoDB catalog: connection, deadlines, and the methods of the port.

mongo_commits.py makes commits and deletions atomic; mongo_documents.py defines the documents. Motor is imported only
here, so that PyMongo's own asynchronous client can replace it.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import fields
from typing import Any, Self

import pymongo
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    DuplicateKeyError,
    InvalidURI,
    OperationFailure,
    ServerSelectionTimeoutError,
)
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference

from iuserver.catalog import mongo_lists
from iuserver.catalog.mongo_audit import MongoAudit
from iuserver.catalog.mongo_base import (
    BULK_READ_SECONDS,
    LOOKUP_SECONDS,
    bulk_read,
    by_email,
    no_account,
    prompt,
    purge,
    within,
)
from iuserver.catalog.mongo_changes import Changes
from iuserver.catalog.mongo_commits import DURABLE, Steps, Transactions
from iuserver.catalog.mongo_credentials import MongoCredentials
from iuserver.catalog.mongo_documents import (
    ACCOUNT_ONLY,
    FORGETTING,
    INDEXES,
    RECORD_ONLY,
    Document,
    Store,
    account_document,
    account_of,
    block_document,
    block_of,
    claimed,
    folded,
    folder_count,
    folder_document,
    folder_of,
    idempotent_result,
    image_of,
    key_id,
    likeness_of,
    probed,
)
from iuserver.catalog.mongo_invites import MongoInvites
from iuserver.catalog.mongo_overview import MongoOverview
from iuserver.catalog.mongo_repair import Repair
from iuserver.catalog.mongo_rows import Rows
from iuserver.catalog.mongo_sessions import MongoSessions
from iuserver.catalog.mongo_views import Views
from iuserver.errors import Fault, name_taken
from iuserver.forms import search_name
from iuserver.likeness import distance as bits_apart
from iuserver.policy import DAY
from iuserver.ports import MAX_GRANTS
from iuserver.records import (
    Account,
    AccountCounts,
    Block,
    Charge,
    Claim,
    Folder,
    Grant,
    IdempotentResult,
    Image,
    ImagePage,
    ListQuery,
    Row,
)

DATABASE = "iuserver"
"""Where the URL names none."""
SELECT_MS = 2500
CONNECT_MS = 2000
"""For the driver's own look at the servers: one that takes longer to accept a connection is away. Once connected,
the deadlines above are the time that a socket may take."""
POOL = 50
"""Connections. Motor never uses more than its threads, five for each processor."""
BATCH = 1000
"""Records that are migrated at a time."""


class MongoCatalog(MongoCredentials, MongoSessions, MongoInvites, MongoAudit, MongoOverview):
    """All ports of a catalog in a MongoDB database; here is the port Catalog. `open` makes one."""

    def __init__(self, store: Store, transactions: bool, node: str, clock: Callable[[], float]) -> None:
        super().__init__(store)
        self.transactions = transactions
        self._atomic = Transactions(store) if transactions else Steps(store, clock)
        self._editing = Changes(store, self._atomic)
        self._repair = Repair(store, clock)
        self._rows = Rows(store)
        self._views = Views(store)
        self._node = node

    @classmethod
    async def open(
        cls, url: str, node: str = "", clock: Callable[[], float] = time.time, transactions: bool | None = None
    ) -> Self:
        """Connect, find out what the server can do, and make what indexes there are not.

        `node` names the process across its restarts, `clock` gives unix seconds; `transactions` overrides what the
        server says of itself. Raises Fault("storage_unavailable") with one line that names no password.
        """
        try:
            client = _client(url)
        except (InvalidURI, ValueError) as error:
            raise Fault("storage_unavailable", "this is no URL of a MongoDB server") from error
        except ConfigurationError as error:
            raise _away(error) from error
        try:
            hello = await client.admin.command("hello")
            # A replica set has transactions, and so have the routers of a sharded cluster.
            offered = "setName" in hello or hello.get("msg") == "isdbgrid"
            store = _store(client, offered)
            await _make_indexes(store)
            await _adopt_answers(store)
            await _add_search_names(store)
        except (ConnectionFailure, OperationFailure) as error:
            client.close()
            raise _away(error) from error
        return cls(store, offered if transactions is None else transactions, node, clock)

    @prompt
    async def exists(self) -> bool:
        """Whether a server has ever run with this database."""
        return await self._store.secrets.find_one({}) is not None

    @prompt
    async def add_account(self, account: Account) -> None:
        try:
            await self._store.accounts.insert_one(account_document(account))
        except DuplicateKeyError:
            raise Fault("name_taken", f"There is an account with the address {account.email} already") from None

    @prompt
    async def account_by_key(self, key_hash: bytes) -> Account | None:
        known = self._known.get(key_hash)
        if known:
            return known
        changes = self._changes
        found = await self._store.accounts.find_one({"key_hash": key_hash}, ACCOUNT_ONLY)
        if found is None:
            return None
        account = account_of(found)
        if changes == self._changes:  # else what was read may be what has been changed
            self._known[key_hash] = account
        return account

    @bulk_read
    async def accounts(self) -> list[Account]:
        cursor = self._store.accounts.find({}, ACCOUNT_ONLY).sort([("created_at", 1), ("email", 1)])
        return [account_of(document) async for document in cursor]

    async def set_plan(self, email: str, plan: str) -> Account:
        return await self._change(by_email(email), {"$set": {"plan": plan}})

    async def set_key(self, email: str, key_hash: bytes, key_last4: str) -> Account:
        return await self._change(
            by_email(email), {"$set": {"key_hash": key_hash, "key_last4": key_last4, "key_used_on": None}}
        )

    async def set_disabled(self, email: str, disabled: bool) -> Account:
        return await self._change(by_email(email), {"$set": {"disabled": disabled}, "$inc": {"epoch": 1}})

    @prompt
    async def claim_key(self, account_id: str, claim: Claim, now: int, lease_until: int) -> IdempotentResult | None:
        which = {"_id": key_id(account_id, claim.key)}
        lapsed = {"fingerprint": {"$exists": False}, "lease_until": {"$lte": now}}
        free = {**which, "$or": [{"claimed_at": {"$lte": now - DAY}}, lapsed]}
        document = {"account_id": account_id, "key": claim.key, "claimed_at": now, "lease_until": lease_until}
        try:
            await self._store.keys.replace_one(
                free, {**document, "token": claim.token, "node": self._node}, upsert=True
            )
        except DuplicateKeyError:
            held = await self._store.keys.find_one(which)
            if held and "fingerprint" in held:
                return idempotent_result(held)
            if not held or held.get("token") != claim.token:  # else the driver has repeated what had been done
                raise _in_progress() from None
        return await self._atomic.finish_left(account_id, claim)

    @prompt
    async def used_key(self, account_id: str, key: str, now: int) -> IdempotentResult | None:
        held = await self._store.keys.find_one({"_id": key_id(account_id, key), "claimed_at": {"$gt": now - DAY}})
        if held and "fingerprint" in held:
            return idempotent_result(held)
        if held and held["lease_until"] > now:
            raise _in_progress()
        return None

    @prompt
    async def renew_key(self, account_id: str, claim: Claim, lease_until: int) -> None:
        await self._store.keys.update_one(claimed(account_id, claim), {"$set": {"lease_until": lease_until}})

    @prompt
    async def free_key(self, account_id: str, claim: Claim) -> None:
        await self._store.keys.delete_one(claimed(account_id, claim))

    @prompt
    async def void_claims(self) -> None:
        await self._store.keys.delete_many({"node": self._node})

    @bulk_read
    async def purge_keys(self, now: int, limit: int) -> int:
        return await purge(self._store.keys, {"claimed_at": {"$lte": now - DAY}}, limit)

    async def commit_upload(self, image: Image, charge: Charge, claim: Claim | None = None) -> Account:
        try:
            return await self._commit_upload(image, charge, claim)
        except Fault as fault:
            return await self._looked_up(fault, image, charge)
        finally:
            self._forget(charge.key_hash)

    @prompt
    async def image(self, slug: str) -> Image | None:
        found = await self._store.images.find_one({"_id": slug, "blob": {"$exists": True}}, RECORD_ONLY)
        return image_of(found) if found else None

    @prompt
    async def delete_image(self, slug: str, blob: str, keep_slug_until: int) -> Image | None:
        deleted = await self._atomic.delete_image(slug, blob, keep_slug_until)
        self._forget()
        return deleted

    @prompt
    async def claim_view(self, slug: str, blob: str, viewer: bytes, grant: Grant | None, now: int) -> Image | None:
        return await self._views.claim(slug, blob, viewer, grant, now, MAX_GRANTS)

    @prompt
    async def has_grant(self, slug: str, hash: bytes, now: int) -> bool:
        return await self._views.has_grant(slug, hash, now)

    @bulk_read
    async def to_bury(self, now: int, limit: int) -> list[Image]:
        return await self._images({"let_go_at": {"$lte": now}}, [("let_go_at", 1)], limit)

    @prompt
    async def bury_image(self, slug: str, blob: str, now: int) -> Image | None:
        buried = await self._atomic.bury_image(slug, blob, now)
        self._forget()
        return buried

    @bulk_read
    async def purge_grants(self, now: int, limit: int) -> int:
        return await self._views.purge_grants(now, limit)

    @prompt
    async def change_image(self, before: Image, after: Image) -> bool:
        return await self._editing.change_image(before, after)

    @prompt
    async def delete_images(
        self, account_id: str, slugs: list[str], now: int, keep_slug_until: int
    ) -> list[tuple[str, str]]:
        deleted = await self._atomic.delete_images(account_id, slugs, now, keep_slug_until)
        self._forget()
        return deleted

    @prompt
    async def move_images(self, account_id: str, slugs: list[str], folder: str | None, now: int) -> set[str]:
        return await self._editing.move_images(account_id, slugs, folder, now)

    @prompt
    async def list_images(self, account_id: str, query: ListQuery) -> ImagePage:
        which = mongo_lists.filter_of(account_id, query)
        if mongo_lists.is_filtered(query):
            total = await self._store.images.count_documents(which)
        else:
            account = await self._store.accounts.find_one({"_id": account_id}, {"shelves": 1})
            total = folder_count(account.get("shelves", {}), query.folder) if account else 0
        images = await self._page(account_id, which, query, total)
        return ImagePage(images[: query.limit], total, len(images) > query.limit)

    @prompt
    async def add_folder(self, folder: Folder, limit: int) -> None:
        free = {
            "_id": folder.account_id,
            "folders.slug": {"$ne": folder.slug},
            "folders.name": {"$ne": folder.name},
            f"folders.{limit - 1}": {"$exists": False},
        }
        pushed = await self._store.accounts.update_one(free, {"$push": {"folders": folder_document(folder)}})
        if not pushed.matched_count:
            same = {"_id": folder.account_id, "$or": [{"folders.slug": folder.slug}, {"folders.name": folder.name}]}
            if await self._store.accounts.find_one(same, {"_id": 1}):
                raise name_taken(folder.name)
            raise Fault("folder_limit", f"An account may have {limit} folders")

    @prompt
    async def folders(self, account_id: str) -> list[tuple[Folder, int]]:
        account = await self._store.accounts.find_one({"_id": account_id}, {"folders": 1, "shelves": 1})
        folders = [folder_of(account_id, document) for document in account["folders"]] if account else []
        folders.sort(key=lambda folder: (folder.created_at, folder.name))
        return [(folder, folder_count(account.get("shelves", {}), folder.slug)) for folder in folders]

    @prompt
    async def rename_folder(self, account_id: str, slug: str, name: str) -> Folder:
        return await self._editing.rename_folder(account_id, slug, name)

    @prompt
    async def remove_folder(self, account_id: str, slug: str, limit: int) -> bool:
        return await self._editing.remove_folder(account_id, slug, limit)

    @bulk_read
    async def remove_account(self, email: str) -> None:
        found = await self._store.accounts.find_one({"address": folded(email)}, ACCOUNT_ONLY)
        if found is None:
            raise no_account(email)
        await self._store.ledger.delete_many({"month": {"$gte": ""}, "account_id": found["_id"]})
        await self._store.keys.delete_many({"account_id": found["_id"]})
        await self._store.sessions.delete_many({"account_id": found["_id"]})
        await self._store.sign_in_links.delete_many({"account_id": found["_id"]})
        await self._store.accounts.delete_one({"_id": found["_id"]})  # the last, so that it can be done again
        self._forget()

    @prompt
    async def secret(self) -> bytes:
        found = await self._store.secrets.find_one({"_id": "signing"})
        if found is None:
            with contextlib.suppress(DuplicateKeyError):  # another process may make it at the same moment
                await self._store.secrets.insert_one({"_id": "signing", "value": secrets.token_bytes(32)})
            found = await self._store.secrets.find_one({"_id": "signing"})
        return bytes(found["value"])

    @prompt
    async def ledger(self, account_id: str, month: str) -> int:
        return int(await self._store.ledger.count_documents({"month": month, "account_id": account_id}))

    @bulk_read
    async def images_page(self, after_slug: str, limit: int) -> list[Image]:
        records = {"_id": {"$gt": after_slug}, "blob": {"$exists": True}}
        page = self._store.images.find(records, RECORD_ONLY).sort("_id", 1).hint([("_id", 1)]).limit(limit)
        return [image_of(document) async for document in page]

    @bulk_read
    async def blobs_known(self, keys: list[str]) -> set[str]:
        cursor = self._store.images.find({"blob": {"$in": keys}, "buried_at": None}, {"_id": 0, "blob": 1})
        return {document["blob"] async for document in cursor}

    @bulk_read
    async def expired(self, now: int, limit: int) -> list[Image]:
        return await self._images({"expires_at": {"$lte": now}}, [("expires_at", 1)], limit)

    @bulk_read
    async def counts(self, month: str, after_id: str, limit: int) -> list[AccountCounts]:
        return await self._repair.counts(month, after_id, limit)

    @bulk_read
    async def repair_counts(self, account_id: str, month: str) -> None:
        await self._repair.repair_counts(account_id, month)
        self._forget()

    @bulk_read
    async def unsettled(self, before: int) -> int:
        return await self._repair.unsettled(before)

    @bulk_read
    async def settle(self, before: int, limit: int) -> int:
        return await self._repair.settle(before, limit)

    @bulk_read
    async def purge_ledger(self, before_month: str, limit: int) -> int:
        return await purge(self._store.ledger, {"month": {"$lt": before_month}}, limit)

    @bulk_read
    async def purge_kept_slugs(self, now: int, limit: int) -> int:
        return await purge(self._store.images, {"kept_until": {"$lte": now}}, limit)

    @bulk_read
    async def size(self, kind: str) -> int:
        return await self._rows.size(kind)

    async def rows(self, kind: str, after: Row | None, batch: int) -> AsyncIterator[list[Row]]:
        cursor = self._rows.cursor(kind, after, batch)
        while documents := await self._next(cursor, batch):
            yield self._rows.of(kind, documents)

    @bulk_read
    async def last_row(self, kind: str) -> Row | None:
        return await self._rows.last_row(kind)

    @bulk_read
    async def add_rows(self, kind: str, rows: list[Row]) -> None:
        await self._rows.add_rows(kind, rows)

    @prompt
    async def add_block(self, block: Block) -> None:
        document = block_document(block)
        with contextlib.suppress(DuplicateKeyError):  # another process may add it at the same moment
            await self._store.blocks.update_one({"_id": block.id}, {"$setOnInsert": document}, upsert=True)
        if block.likeness is not None:
            await self._store.blocks.update_one({"_id": block.id, "likeness": None}, {"$set": likeness_of(block)})

    @prompt
    async def remove_block(self, id: str) -> None:
        if not (await self._store.blocks.delete_one({"_id": id})).deleted_count:
            raise Fault("not_found", f"There is nothing with the id {id} on the blocklist")

    @bulk_read
    async def blocks(self) -> list[Block]:
        return [block_of(found) async for found in self._store.blocks.find().sort([("created_at", 1), ("_id", 1)])]

    @prompt
    async def has_blocks(self) -> bool:
        return await self._store.blocks.find_one({}, {"_id": 1}) is not None

    @prompt
    async def is_blocked(self, sha256: bytes) -> bool:
        return await self._store.blocks.find_one({"sha256": sha256}, {"_id": 1}) is not None

    @prompt
    async def has_likenesses(self) -> bool:
        return await self._store.blocks.find_one({"parts": {"$exists": True}}, {"_id": 1}) is not None

    @prompt
    async def is_like_blocked(self, likeness: bytes, distance: int) -> bool:
        cursor = self._store.blocks.find({"parts": {"$in": probed(likeness)}}, {"likeness": 1})
        return any([bits_apart(likeness, found["likeness"]) <= distance async for found in cursor])

    async def close(self) -> None:
        self._store.client.close()

    async def _images(self, which: Document, order: list[tuple[str, int]], limit: int = 0) -> list[Image]:
        """Records by an index, without what grows in them."""
        cursor = self._store.images.find(which, RECORD_ONLY).sort(order).limit(limit)
        return [image_of(document) async for document in cursor]

    async def _page(self, account_id: str, which: Document, query: ListQuery, total: int) -> list[Image]:
        """A page and the image behind it. An offset is counted off along the index, from the nearer end; only then
        records are read."""
        limit = query.limit + 1 if query.after else max(0, min(query.limit + 1, total - query.offset))
        if not limit:
            return []
        order, skip = mongo_lists.order_of(query), query.offset
        if query.offset > total // 2:
            order, skip = mongo_lists.order_of(query, -1), total - query.offset - limit
        slugs = self._store.images.find(mongo_lists.behind(which, query), {"_id": 1})
        slugs = slugs.sort(order).skip(skip).limit(limit)
        if mongo_lists.is_indexed(query):
            index, low, high = mongo_lists.bounds(account_id, query)
            slugs = slugs.hint(index).min(low).max(high)
        listed = {"_id": {"$in": [document["_id"] async for document in slugs]}, "account_id": account_id}
        return await self._images(listed, mongo_lists.order_of(query))

    @prompt
    async def _commit_upload(self, image: Image, charge: Charge, claim: Claim | None) -> Account:
        return await self._atomic.commit_upload(image, charge, claim)

    async def _looked_up(self, fault: Fault, image: Image, charge: Charge) -> Account:
        """The account, where a commit has happened although its answer was lost. Raises the fault where it has not."""
        # A short link may be taken by this very upload, where what the driver repeated had been done.
        lost = fault.code in ("storage_unavailable", "slug_taken")
        lost = lost and not isinstance(fault.__cause__, ServerSelectionTimeoutError)
        account = await within(LOOKUP_SECONDS, self._account_after)(image, charge) if lost else None
        if account is None:
            raise fault
        return account

    async def _account_after(self, image: Image, charge: Charge) -> Account | None:
        if await self._store.images.find_one({"_id": image.slug, "blob": image.blob}, {"_id": 1}) is None:
            return None
        return account_of(await self._store.accounts.find_one({"_id": charge.account_id}, ACCOUNT_ONLY))

    @bulk_read
    async def _next(self, cursor: Any, batch: int) -> list[Document]:
        documents: list[Document] = await cursor.to_list(batch)
        return documents


def _client(url: str) -> AsyncIOMotorClient[Document]:
    return AsyncIOMotorClient(
        url,
        appname="iuserver",
        serverSelectionTimeoutMS=SELECT_MS,
        connectTimeoutMS=CONNECT_MS,
        maxPoolSize=POOL,
        retryWrites=True,  # single writes, on a replica set: the server knows them by number, so none is done twice
        retryReads=True,
    )


def _store(client: AsyncIOMotorClient[Document], replicated: bool) -> Store:
    database = client.get_default_database(
        DATABASE,
        read_preference=ReadPreference.PRIMARY,
        read_concern=ReadConcern("majority") if replicated else None,
        write_concern=DURABLE,
    )
    return Store(client, *(database[f.name] for f in fields(Store) if f.name != "client"))


async def _make_indexes(store: Store) -> None:
    with pymongo.timeout(BULK_READ_SECONDS):
        for name, indexes in INDEXES.items():
            models = [pymongo.IndexModel(keys, **options) for keys, options in indexes]
            await getattr(store, name).create_indexes(models)


async def _adopt_answers(store: Store) -> None:
    """Migrate answers stored by 0.1.0, as the SQLite migration does: add their blobs, and drop those whose image is
    gone or had a password (hashed fast then). A day after the last 0.1.0 there are none."""
    with pymongo.timeout(BULK_READ_SECONDS):
        async for kept in store.keys.find({"blob": None, "answer": {"$exists": True}}):
            stored = idempotent_result(kept).stored
            assert stored
            image = stored.image
            there = await store.images.find_one({"_id": image.slug, "blob": image.blob, "buried_at": None}, {"_id": 1})
            update = {"$set": {"blob": image.blob}} if there and image.password_hash is None else FORGETTING
            await store.keys.update_one({"_id": kept["_id"], "blob": None}, update)


async def _add_search_names(store: Store) -> None:
    """Migrate records stored by 0.1.0: add what their names are searched and sorted by."""
    lacking = {"account_id": {"$exists": True}, "search_name": None}
    while found := await store.images.find(lacking, {"filename": 1}).limit(BATCH).to_list(None):
        with pymongo.timeout(BULK_READ_SECONDS):
            names = [({"_id": record["_id"]}, search_name(record["filename"])) for record in found]
            await store.images.bulk_write(
                [pymongo.UpdateOne(which, {"$set": {"search_name": name}}) for which, name in names], ordered=False
            )


def _away(error: Exception) -> Fault:
    """Why a catalog cannot be opened, in one line: of the driver's sentence the part before the details."""
    return Fault("storage_unavailable", str(error).partition(" (configured")[0].partition(", full error")[0])


def _in_progress() -> Fault:
    return Fault("in_progress", "An upload with this Idempotency-Key is under way", retry_after=2)
