"""MongoDB: the queries that read a page of an account's images."""

from __future__ import annotations

import re
from typing import Any

from bson.max_key import MaxKey
from bson.min_key import MinKey

from iuserver.catalog.mongo_documents import INDEXES, Document
from iuserver.records import ListQuery, Show, Sort

Order = list[tuple[str, int]]
Bound = list[tuple[str, Any]]
"""A place in an index: what each of its fields has there."""

KEYS: dict[Sort, tuple[str, int]] = {
    "newest": ("created_at", -1),
    "oldest": ("created_at", 1),
    "name": ("search_name", 1),
    "largest": ("size", -1),
}
"""What each list is sorted by, and which way. Those that are alike are sorted by their slugs, the same way."""
GONE = [{"let_go_at": {"$ne": None}}, {"buried_at": {"$ne": None}}]


def order_of(query: ListQuery, direction: int = 1) -> Order:
    """How a list is sorted, or the other way round."""
    key, way = KEYS[query.sort]
    return [(key, way * direction), ("_id", way * direction)]


def is_filtered(query: ListQuery) -> bool:
    """Whether the numbers of images by folder do not tell how many there are."""
    return query.show != "all" or query.name != ""


def filter_of(account_id: str, query: ListQuery) -> Document:
    """The filter of the records of a list, from its beginning."""
    which: Document = {"account_id": account_id}
    if query.folder is not None:
        which["folder"] = query.folder or None
    if query.name:
        which["search_name"] = {"$regex": re.escape(query.name)}
    return which | _shown(query.show, query.soon)


def _shown(show: Show, soon: int) -> Document:
    match show:
        case "expiring":
            return {"expires_at": {"$lte": soon}, "let_go_at": None, "buried_at": None}
        case "password":
            return {"password_hash": {"$ne": None}}
        case "gone":
            return {"$or": GONE}
    return {}


def is_indexed(query: ListQuery) -> bool:
    """Whether there is an index of the list's order that has nothing else of the account."""
    return not is_filtered(query) and (query.folder is None or query.sort in ("newest", "oldest"))


def bounds(account_id: str, query: ListQuery) -> tuple[Order, Bound, Bound]:
    """The index of a list and the part of it that stands behind the position: from the first bound, which belongs to
    it, to the second, which does not. The planner of a server could choose worse ones."""
    key, way = KEYS[query.sort]
    whose: Bound = [("account_id", account_id)]
    if query.folder is not None:
        whose.append(("folder", query.folder or None))
    index = _index([*(name for name, _ in whose), key, "_id"])
    rest = [name for name, _ in index[len(whose) :]]
    low, high = [*whose, *((name, MinKey()) for name in rest)], [*whose, *((name, MaxKey()) for name in rest)]
    if query.after:
        place = [*whose, (key, query.after.key), ("_id", query.after.slug), *((name, MinKey()) for name in rest[2:])]
        low, high = (place, high) if way == 1 else (low, place)
    return index, low, high


def _index(names: list[str]) -> Order:
    """The index that begins with these fields."""
    return next(keys for keys, _ in INDEXES["images"] if [name for name, _ in keys[: len(names)]] == names)


def behind(which: Document, query: ListQuery) -> Document:
    """The filter of the records of a list that stand behind the position."""
    if query.after is None:
        return which
    if is_indexed(query):
        return which | {"_id": {"$ne": query.after.slug}}
    key, way = KEYS[query.sort]
    further = "$gt" if way == 1 else "$lt"
    later = {key: {further: query.after.key}}
    alike = {key: query.after.key, "_id": {further: query.after.slug}}
    return {"$and": [which, {"$or": [later, alike]}]}
