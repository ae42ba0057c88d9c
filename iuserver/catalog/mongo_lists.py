"""MongoDB: the queries that read a page of an account's images."""

from __future__ import annotations

import re

from iuserver.catalog.mongo_documents import Document
from iuserver.records import ListQuery, Show, Sort

Order = list[tuple[str, int]]

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


def behind(which: Document, query: ListQuery) -> Document:
    """The filter of the records of a list that stand behind the position, in two ranges of the list's index."""
    if query.after is None:
        return which
    key, way = KEYS[query.sort]
    further = "$gt" if way == 1 else "$lt"
    later = {key: {further: query.after.key}}
    alike = {key: query.after.key, "_id": {further: query.after.slug}}
    return {"$or": [{"$and": [which, later]}, {"$and": [which, alike]}]}
