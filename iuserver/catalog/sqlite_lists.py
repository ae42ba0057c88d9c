"""SQLite: the SQL that reads a page of an account's images.

A list that is only sorted, or is of a folder's newest or oldest, reads as much of its own index as it shows. Any other
list reads all of the account's part of `images_by_name`, where everything stands that it is filtered and sorted by: the
same for each page.
"""

from __future__ import annotations

import sqlite3
from dataclasses import fields
from typing import Any

from iuserver.records import Image, ImagePage, ListQuery, Show, Sort

COLUMNS = ", ".join(f.name for f in fields(Image))
ORDERS: dict[Sort, tuple[str, str]] = {
    "newest": ("created_at", "DESC"),
    "oldest": ("created_at", "ASC"),
    "name": ("search_name", "ASC"),
    "largest": ("size", "DESC"),
}
"""What each list is sorted by, and which way. Those that are alike are sorted by their slugs, the same way."""
OPPOSITE = {"ASC": "DESC", "DESC": "ASC"}
BEHIND = {"ASC": ">", "DESC": "<"}
SHOWN: dict[Show, str] = {
    "all": "TRUE",
    "expiring": "expires_at <= :soon AND let_go_at IS NULL AND buried_at IS NULL",
    "password": "locked",
    "gone": "(let_go_at IS NOT NULL OR buried_at IS NOT NULL)",
}


def read_page(connection: sqlite3.Connection, account_id: str, query: ListQuery) -> ImagePage:
    """A page of an account's images, and how many there are. What it reads must be of one moment: a transaction."""
    values: dict[str, Any] = {
        "account": account_id,
        "folder": query.folder,
        "name": query.name,
        "soon": query.soon,
        "limit": query.limit + 1,
        "offset": query.offset,
    }
    if query.after:
        values |= {"key": query.after.key, "slug": query.after.slug}
    if query.show != "all" or query.name or (query.folder is not None and query.sort in ("name", "largest")):
        return _scanned(connection, query, values)
    return _indexed(connection, query, values)


def _scanned(connection: sqlite3.Connection, query: ListQuery, values: dict[str, Any]) -> ImagePage:
    """A page of those among all of the account's images that match. They are counted where the page has not all."""
    which = f"FROM images INDEXED BY images_by_name WHERE {_of(query)} AND {SHOWN[query.show]}"
    if query.name:
        which += " AND instr(search_name, :name)"
    images = _rows(connection, query, _slugs(query, which), values)
    total, begun = len(images), query.after is not None or query.offset > 0
    if begun or total > query.limit:
        (total,) = connection.execute(f"SELECT count(*) {which}", values).fetchone()
    return ImagePage(images[: query.limit], total, len(images) > query.limit)


def _indexed(connection: sqlite3.Connection, query: ListQuery, values: dict[str, Any]) -> ImagePage:
    """A page along the index that has its order. An offset is counted off from the nearer end."""
    counted = "account_id = :account" if query.folder is None else "account_id = :account AND folder = :folder"
    sql = f"SELECT coalesce(sum(images), 0) FROM image_counts WHERE {counted}"
    (total,) = connection.execute(sql, values).fetchone()
    which = f"FROM images WHERE {_of(query)}"
    slugs = _slugs(query, which)
    if query.offset > total // 2:
        values["limit"] = max(0, min(query.limit + 1, total - query.offset))
        values["offset"] = max(0, total - query.offset - values["limit"])
        slugs = _slugs(query, which, backwards=True)
    images = _rows(connection, query, slugs, values)
    return ImagePage(images[: query.limit], total, len(images) > query.limit)


def _rows(connection: sqlite3.Connection, query: ListQuery, slugs: str, values: dict[str, Any]) -> list[Image]:
    """The rows whose slugs a SELECT finds, in the order of the list."""
    key, way = ORDERS[query.sort]
    sql = f"SELECT {COLUMNS} FROM images WHERE slug IN ({slugs}) ORDER BY {key} {way}, slug {way}"
    return [Image(*row) for row in connection.execute(sql, values)]


def _of(query: ListQuery) -> str:
    return "account_id = :account" + ("" if query.folder is None else " AND folder IS nullif(:folder, '')")


def _slugs(query: ListQuery, which: str, *, backwards: bool = False) -> str:
    """The SELECT of a page's slugs, from the list's beginning or its end."""
    key, way = ORDERS[query.sort]
    behind = f"AND ({key}, slug) {BEHIND[way]} (:key, :slug)" if query.after else ""
    way = OPPOSITE[way] if backwards else way
    return f"SELECT slug {which} {behind} ORDER BY {key} {way}, slug {way} LIMIT :limit OFFSET :offset"
