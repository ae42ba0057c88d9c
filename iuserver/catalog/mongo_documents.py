"""The documents of the Mongo catalog: records to documents and back, indexes, the rule of a charge as a filter.

accounts  `_id` is the account's id; its folders stand inside it, so that one conditional update checks and adds one.
          `shelves` has the number of its images by folder. `pending` has an entry for each commit that is under way,
          or was when a process died; `burying` one for each burial; `moving` one for each move of images between
          folders; `settled` one for each deletion whose bytes have been given back but whose record is still there.
          With transactions these four stay empty.
images    `_id` is the slug. A record has `search_name`, what its name is searched and sorted by. It has its
          `viewers` and `grants` in it, `claim`, a random word that is new with
          each claim of a view, and as a tombstone that was made in steps `burial`, what of it is in `burying`.
          Beside records there are those of deleted images, which nothing but the slug finds:
          {kept_until} keeps a slug from being used again, {going, going_at, going_until} is a deletion under way.
ledger    `_id` is the upload's blob: unlike a slug it is never used again.
keys      `_id` is "ACCOUNT KEY"; `token` tells one claim from another, `node` is there while the key is claimed,
          `fingerprint` and `answer` afterwards. `blob` is that of the upload from its commit on, "" once its image is
          gone: then the answer is gone, too.
secrets   `_id` is the name.
blocks    `_id` is the block's id. One with a perceptual hash has its `parts`, by which hashes near it are found.
sessions, sign_in_links, invites
          `_id` is the hash of the token.
audit     `_id` is the row's id, which is in the order of time.
"""

from __future__ import annotations

from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, TypeVar

import orjson

from iuserver import likeness
from iuserver.forms import search_name
from iuserver.records import (
    Account,
    AuditRow,
    Block,
    Charge,
    Claim,
    Folder,
    IdempotentResult,
    Image,
    Invite,
    Quota,
    Session,
    SignInLink,
    Stored,
)

Document = dict[str, Any]
K = TypeVar("K", Session, SignInLink, Invite, AuditRow)

IMAGE_FIELDS = [f.name for f in fields(Image)]
IMAGE_NOTHING: Document = {f.name: None for f in fields(Image) if f.default is MISSING}
ACCOUNT_FIELDS = [f.name for f in fields(Account)]
ACCOUNT_ONLY = {name: 1 for name in ACCOUNT_FIELDS if name != "id"}
"""A projection: the account without what grows in it."""
RECORD_ONLY = {"viewers": 0, "grants": 0}
"""A projection: the record without what grows in it."""
ROOT = "root"
"""The key of the count of images in no folder; no folder can have this slug."""
OF_RECORDS = {"partialFilterExpression": {"account_id": {"$exists": True}}}
"""For an index of records alone that is asked for a field that some of them lack: a sparse one would not do."""

INDEXES: dict[str, list[tuple[list[tuple[str, int]], Document]]] = {
    "accounts": [
        ([("address", 1)], {"unique": True}),
        ([("key_hash", 1)], {"unique": True}),
        ([("pending.at", 1)], {"sparse": True}),
        ([("burying.at", 1)], {"sparse": True}),
        ([("moving.at", 1)], {"sparse": True}),
        ([("settled.slug", 1)], {"sparse": True}),
    ],
    # Records alone are in them, but for the last three. None but `_id` is unique: the slug can be the key of shards.
    "images": [
        ([("blob", 1)], {"sparse": True}),
        ([("account_id", 1), ("created_at", 1), ("_id", 1)], OF_RECORDS),
        ([("account_id", 1), ("folder", 1), ("created_at", 1), ("_id", 1), ("size", 1)], OF_RECORDS),
        ([("account_id", 1), ("search_name", 1), ("_id", 1)], OF_RECORDS),
        ([("account_id", 1), ("size", 1), ("_id", 1)], OF_RECORDS),
        ([("expires_at", 1)], {"sparse": True}),
        ([("let_go_at", 1)], {"sparse": True}),
        ([("grants.lapses_at", 1)], {"sparse": True}),
        ([("kept_until", 1)], {"sparse": True}),
        ([("going_at", 1)], {"sparse": True}),
        ([("going.account_id", 1)], {"sparse": True}),
    ],
    "ledger": [([("month", 1), ("account_id", 1), ("_id", 1)], {})],
    "keys": [
        ([("claimed_at", 1)], {}),
        ([("blob", 1)], {}),
        ([("account_id", 1)], {}),
        ([("node", 1)], {"sparse": True}),
    ],
    "blocks": [([("sha256", 1)], {"unique": True}), ([("parts", 1)], {"sparse": True})],
    "sessions": [([("account_id", 1), ("seen_at", 1)], {}), ([("seen_at", 1)], {}), ([("created_at", 1)], {})],
    "sign_in_links": [([("account_id", 1)], {}), ([("expires_at", 1)], {})],
}


@dataclass(frozen=True, slots=True)
class Store:
    """The collections, and the client for its sessions. They are Motor's, which mongo.py alone imports."""

    client: Any
    accounts: Any
    images: Any
    ledger: Any
    keys: Any
    secrets: Any
    blocks: Any
    sessions: Any
    sign_in_links: Any
    invites: Any
    audit: Any


def folded(email: str) -> str:
    """An address as it is compared: ASCII letters without case, as SQLite does it."""
    return email.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")


def account_document(account: Account) -> Document:
    """A new account."""
    values = asdict(account)
    return {"_id": values.pop("id"), "address": folded(account.email), **values, "folders": [], "shelves": {}}


def account_of(document: Document) -> Account:
    values = {name: document[name] for name in ACCOUNT_FIELDS if name in document}
    return Account(id=document["_id"], **values)


def image_document(image: Image) -> Document:
    """A record, without what it does not have: sparse indexes pass over it then."""
    values = {name: value for name, value in asdict(image).items() if value is not None}
    return {"_id": values.pop("slug"), **values, "search_name": search_name(image.filename)}


def image_of(document: Document) -> Image:
    values = {name: document[name] for name in IMAGE_FIELDS if name in document}
    return Image(**{**IMAGE_NOTHING, **values, "slug": document["_id"]})


def becoming(before: Image, after: Image) -> Document:
    """The update that makes one record of another."""
    old, new = image_document(before), image_document(after)
    update: Document = {"$set": {name: value for name, value in new.items() if old.get(name) != value}}
    gone = dict.fromkeys(old.keys() - new.keys(), 1)
    return update | ({"$unset": gone} if gone else {})


def folder_path(folder: str | None) -> str:
    """The path of the number of images in a folder."""
    return f"shelves.{folder or ROOT}"


def folder_count(folder_counts: dict[str, int], folder: str | None) -> int:
    """How many images there are in a folder ("" for none), or in all (None)."""
    return sum(folder_counts.values()) if folder is None else folder_counts.get(folder or ROOT, 0)


def same_record(image: Image) -> Document:
    """The filter that finds a record as long as nobody has changed, viewed or buried it."""
    names = ("blob", "filename", "folder", "expiration", "expires_at", "view_limit", "password_hash")
    views = ("viewed_at", "let_go_at", "buried_at")
    return {"_id": image.slug, **{name: getattr(image, name) for name in (*names, *views)}}


def named(account_id: str, slugs: list[str], now: int) -> Document:
    """The filter of those of an account's records that have one of these slugs and have not expired."""
    lives = {"$or": [{"expires_at": None}, {"expires_at": {"$gt": now}}]}
    return {"_id": {"$in": slugs}, "account_id": account_id, **lives}


def has_folder(account_id: str, folder: str | None) -> Document:
    """The filter that finds the account only if it has this folder (None: in any case)."""
    return {"_id": account_id} | ({} if folder is None else {"folders.slug": folder})


def ledger_document(image: Image, month: str) -> Document:
    return {"_id": image.blob, "slug": image.slug, "account_id": image.account_id, "month": month}


def folder_document(folder: Folder) -> Document:
    """A folder inside its account."""
    return {"slug": folder.slug, "name": folder.name, "created_at": folder.created_at}


def folder_of(account_id: str, document: Document) -> Folder:
    return Folder(account_id, document["slug"], document["name"], document["created_at"])


def keyed_document(record: Session | SignInLink | Invite | AuditRow) -> Document:
    """What its first field names."""
    values = asdict(record)
    return {"_id": values.pop(next(iter(values))), **values}


def keyed_of(kind: type[K], document: Document) -> K:
    """The record of a document that `keyed_document` has made."""
    key, *names = (f.name for f in fields(kind))
    return kind(**{key: document["_id"]}, **{name: document[name] for name in names})


def block_document(block: Block) -> Document:
    values = asdict(block)
    return {"_id": values.pop("id"), **values, **likeness_of(block)}


def likeness_of(block: Block) -> Document:
    """What a block is found by if it has a perceptual hash: its parts, each with its number before it."""
    if block.likeness is None:
        return {}
    numbered = [bytes([number]) + part for number, part in enumerate(likeness.parts(block.likeness))]
    return {"likeness": block.likeness, "parts": numbered}


def probed(hash: bytes) -> list[bytes]:
    """The parts, numbered as in a document, of which hashes near one have at least one."""
    return [bytes([number]) + part for number, near in enumerate(likeness.probes(hash)) for part in near]


def block_of(document: Document) -> Block:
    values = {name: value for name, value in document.items() if name != "parts"}
    return Block(id=values.pop("_id"), **values)


def key_id(account_id: str, key: str) -> str:
    """No account's id has a space in it."""
    return f"{account_id} {key}"


def claimed(account_id: str, claim: Claim) -> Document:
    """The filter of a key that a claim holds."""
    return {"_id": key_id(account_id, claim.key), "token": claim.token, "fingerprint": {"$exists": False}}


def idempotent_result(document: Document) -> IdempotentResult:
    if "answer" not in document:
        return IdempotentResult(document["fingerprint"], None)
    answer = orjson.loads(document["answer"])
    stored = Stored(Image(**answer["image"]), Quota(**answer["quota"]), replayed=True)
    return IdempotentResult(document["fingerprint"], stored)


def answer(image: Image, account: Account, uploads_limit: int) -> bytes:
    """The result that an idempotency key stores, as JSON."""
    return orjson.dumps(Stored(image, Quota(account.used, uploads_limit, account.plan)))


def with_answer(fingerprint: bytes, answer: bytes, blob: str) -> Document:
    """The update that stores the result of a claimed key."""
    return {"$set": {"fingerprint": fingerprint, "answer": answer, "blob": blob}, "$unset": {"node": 1, "token": 1}}


FORGETTING: Document = {"$set": {"fingerprint": b"", "blob": ""}, "$unset": {"answer": 1, "node": 1, "token": 1}}
"""The update of a key whose image is gone: it was used, and nothing else is known."""


def chargeable(image: Image, charge: Charge, pending: bool) -> Document:
    """The filter that finds the account only if it may be charged: the rule of `policy.charged`, and the folder's.

    With `pending`, it is not found either where it has been charged for this upload.
    """
    rule: Document = {"_id": charge.account_id, "disabled": False}
    if charge.key_hash is not None:
        rule["key_hash"] = charge.key_hash
    if charge.counted and charge.uploads_limit:
        rule["$or"] = [{"month": {"$lt": charge.month}}, {"used": {"$lt": charge.uploads_limit}}]
    if charge.storage_limit:
        rule["stored_bytes"] = {"$lte": charge.storage_limit - image.size}
    if image.folder is not None:
        rule["folders.slug"] = image.folder
    if pending:
        rule["pending.blob"] = {"$ne": image.blob}
    return rule


def charging(image: Image, charge: Charge, entry: Document | None = None) -> list[Document]:
    """The update that charges an account, and adds an entry to what is pending, with the month that it counts in."""
    month = {"$max": ["$month", charge.month]}
    used = {"$cond": [{"$gte": ["$month", charge.month]}, "$used", 0]}
    path = folder_path(image.folder)
    values: Document = {
        path: {"$add": [{"$ifNull": [f"${path}", 0]}, 1]},
        "used": {"$add": [used, int(charge.counted)]},
        "month": month,
        "stored_bytes": {"$add": ["$stored_bytes", image.size]},
    }
    if entry:
        added = {"$mergeObjects": [{"$literal": entry}, {"month": month}]}
        values["pending"] = {"$concatArrays": [{"$ifNull": ["$pending", []]}, [added]]}
    return [{"$set": values}]


def pending_entry(image: Image, charge: Charge, claim: Claim | None, now: int) -> Document:
    """What is pending while a commit takes its steps: enough to go on, or to take it back."""
    entry = {"blob": image.blob, "slug": image.slug, "month": charge.month, "size": image.size, "at": now}
    entry["shelf"] = folder_path(image.folder)
    entry["uploads"] = int(charge.counted)
    if claim:
        entry |= {"key": claim.key, "token": claim.token, "fingerprint": claim.fingerprint}
        entry |= {"limit": charge.uploads_limit}
    return entry


def taking_back(entry: Document) -> list[Document]:
    """The update that takes a charge back, and its entry away."""
    in_its_month = {"$eq": ["$month", entry["month"]]}
    others = {"$filter": {"input": "$pending", "cond": {"$ne": ["$$this.blob", entry["blob"]]}}}
    return [
        {
            "$set": {
                "used": {"$cond": [in_its_month, {"$subtract": ["$used", entry.get("uploads", 1)]}, "$used"]},
                "stored_bytes": {"$subtract": ["$stored_bytes", entry["size"]]},
                entry["shelf"]: {"$subtract": [f"${entry['shelf']}", 1]},
                "pending": others,
            }
        }
    ]


def giving_back(record: Document) -> Document:
    """What is taken off an account's counts when a record goes."""
    return {"stored_bytes": -record["size"], folder_path(record.get("folder")): -1}
