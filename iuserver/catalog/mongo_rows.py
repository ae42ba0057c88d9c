"""MongoDB: converts documents to the rows that `copy-catalog` copies, and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from pymongo import ReplaceOne
from pymongo.errors import BulkWriteError

from iuserver.catalog.mongo_documents import (
    ROOT,
    Document,
    K,
    Store,
    account_document,
    account_of,
    block_document,
    block_of,
    image_document,
    image_of,
    key_id,
    keyed_document,
    keyed_of,
)
from iuserver.records import ROW_KEYS, Account, AuditRow, Block, Image, Invite, Row, Session, SignInLink

KEY_FIELDS = ("account_id", "key", "claimed_at", "lease_until", "fingerprint", "answer", "blob")


@dataclass(frozen=True, slots=True)
class Kind:
    """Where a kind's rows are, what tells its documents from others there, and how they become rows and back."""

    collection: str
    which: Document
    row: Callable[[Document], Row]
    document: Callable[[Row], Document]


def _account_row(document: Document) -> Row:
    folders = sorted(document["folders"], key=lambda folder: str(folder["slug"]))
    folder_counts = {
        "" if name == ROOT else name: count for name, count in document.get("shelves", {}).items() if count
    }
    return {**asdict(account_of(document)), "folders": folders, "shelves": folder_counts}


def _account_document(row: Row) -> Document:
    account = Account(**{name: row[name] for name in Account.__slots__})
    folder_counts = {name or ROOT: count for name, count in row["shelves"].items()}
    return {**account_document(account), "folders": row["folders"], "shelves": folder_counts}


def _image_row(document: Document) -> Row:
    grants = sorted(document.get("grants", []), key=lambda grant: bytes(grant["hash"]))
    return {**asdict(image_of(document)), "viewers": sorted(document.get("viewers", [])), "grants": grants}


def _image_document(row: Row) -> Document:
    within = {name: row[name] for name in ("viewers", "grants") if row[name]}
    return image_document(Image(**{name: row[name] for name in Image.__slots__})) | within


def _key_row(document: Document) -> Row:
    return {name: document.get(name) for name in KEY_FIELDS}


def _key_document(row: Row) -> Document:
    values = {name: value for name, value in row.items() if value is not None}
    return {"_id": key_id(row["account_id"], row["key"]), **values}


def _without_id(document: Document) -> Row:
    return {name: value for name, value in document.items() if name != "_id"}


def _keyed(collection: str, kind: type[K]) -> Kind:
    """A kind whose documents are those of `keyed_document`."""
    return Kind(
        collection, {}, lambda document: asdict(keyed_of(kind, document)), lambda row: keyed_document(kind(**row))
    )


KINDS = {
    "secrets": Kind(
        "secrets",
        {},
        lambda document: {"name": document["_id"], "value": document["value"]},
        lambda row: {"_id": row["name"], "value": row["value"]},
    ),
    "accounts": Kind("accounts", {}, _account_row, _account_document),
    "images": Kind("images", {"blob": {"$exists": True}}, _image_row, _image_document),
    "ledger": Kind(
        "ledger",
        {},
        lambda document: {**_without_id(document), "blob": document["_id"]},
        lambda row: {"_id": row["blob"], **{name: row[name] for name in ("slug", "account_id", "month")}},
    ),
    "kept_slugs": Kind(
        "images",
        {"kept_until": {"$exists": True}},
        lambda document: {"slug": document["_id"], "until": document["kept_until"]},
        lambda row: {"_id": row["slug"], "kept_until": row["until"]},
    ),
    "idempotency_keys": Kind("keys", {"fingerprint": {"$exists": True}}, _key_row, _key_document),
    "blocks": Kind("blocks", {}, lambda document: asdict(block_of(document)), lambda row: block_document(Block(**row))),
    "sessions": _keyed("sessions", Session),
    "sign_in_links": _keyed("sign_in_links", SignInLink),
    "invites": _keyed("invites", Invite),
    "audit": _keyed("audit", AuditRow),
}


class Rows:
    """The ability Copyable, without its deadlines."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def size(self, kind: str) -> int:
        return int(await self._collection(kind).count_documents(KINDS[kind].which))

    def cursor(self, kind: str, after: Row | None, batch: int) -> Any:
        """Motor's cursor over the documents behind a row."""
        behind = _behind(kind, after) if after else {}
        return self._collection(kind).find({**KINDS[kind].which, **behind}).sort(_order(kind, 1)).batch_size(batch)

    def of(self, kind: str, documents: list[Document]) -> list[Row]:
        return [KINDS[kind].row(document) for document in documents]

    async def last_row(self, kind: str) -> Row | None:
        cursor = self._collection(kind).find(KINDS[kind].which).sort(_order(kind, -1)).limit(1)
        return next(iter(self.of(kind, await cursor.to_list(None))), None)

    async def add_rows(self, kind: str, rows: list[Row]) -> None:
        documents = [KINDS[kind].document(row) for row in rows]
        # In order: whatever becomes of it, there is no gap before the last one that is stored.
        try:
            await self._collection(kind).insert_many(documents, ordered=True)
        except BulkWriteError:  # some are there already
            replacing = [ReplaceOne({"_id": document["_id"]}, document, upsert=True) for document in documents]
            await self._collection(kind).bulk_write(replacing, ordered=True)

    def _collection(self, kind: str) -> Any:
        return getattr(self._store, KINDS[kind].collection)


def _fields(kind: str) -> list[str]:
    """What the documents of a kind are ordered by: the same as the row's keys, but an index has it."""
    return ["month", "account_id", "_id"] if kind == "ledger" else ["_id"]


def _order(kind: str, direction: int) -> list[tuple[str, int]]:
    return [(name, direction) for name in _fields(kind)]


def _behind(kind: str, row: Row) -> Document:
    """The filter of what stands behind a row, field by field as in a dictionary."""
    document = KINDS[kind].document(row)
    names = _fields(kind)
    steps: list[Document] = []
    for number, name in enumerate(names):
        same = {before: document[before] for before in names[:number]}
        steps.append({**same, name: {"$gt": document[name]}})
    return {"$or": steps} if len(steps) > 1 else steps[0]


assert KINDS.keys() == ROW_KEYS.keys()
