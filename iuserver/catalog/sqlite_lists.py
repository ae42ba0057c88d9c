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
    filtered = query.show != "all" or query.name or (query.folder is not None and query.sort in ("name", "largest"))
    page, total = _scanned(connection, query, values) if filtered else _indexed(connection, query, values)
    key, way = ORDERS[query.sort]
    sql = f"SELECT {COLUMNS} FROM images WHERE slug IN ({page}) ORDER BY {key} {way}, slug {way}"
    images = [Image(*row) for row in connection.execute(sql, values)]
    return ImagePage(images[: query.limit], total, len(images) > query.limit)


def _scanned(connection: sqlite3.Connection, query: ListQuery, values: dict[str, Any]) -> tuple[str, int]:
    """The SELECT of a page's slugs among all of the account's images, and how many match."""
    which = f"FROM images INDEXED BY images_by_name WHERE {_of(query)} AND {SHOWN[query.show]}"
    if query.name:
        which += " AND instr(search_name, :name)"
    (total,) = connection.execute(f"SELECT count(*) {which}", values).fetchone()
    return _slugs(query, which), total


def _indexed(connection: sqlite3.Connection, query: ListQuery, values: dict[str, Any]) -> tuple[str, int]:
    """The SELECT of a page's slugs along the index that has its order, and how many images there are.

    An offset is counted off from the nearer end.
    """
    counted = "account_id = :account" if query.folder is None else "account_id = :account AND folder = :folder"
    sql = f"SELECT coalesce(sum(images), 0) FROM image_counts WHERE {counted}"
    (total,) = connection.execute(sql, values).fetchone()
    which = f"FROM images WHERE {_of(query)}"
    if query.after or query.offset <= total // 2:
        return _slugs(query, which), total
    key, way = ORDERS[query.sort]
    values["limit"] = max(0, min(query.limit + 1, total - query.offset))
    values["offset"] = total - query.offset - values["limit"]
    back = OPPOSITE[way]
    return f"SELECT slug {which} ORDER BY {key} {back}, slug {back} LIMIT :limit OFFSET max(0, :offset)", total


def _of(query: ListQuery) -> str:
    return "account_id = :account" + ("" if query.folder is None else " AND folder IS nullif(:folder, '')")


def _slugs(query: ListQuery, which: str) -> str:
    key, way = ORDERS[query.sort]
    behind = f"AND ({key}, slug) {BEHIND[way]} (:key, :slug)" if query.after else ""
    return f"SELECT slug {which} {behind} ORDER BY {key} {way}, slug {way} LIMIT :limit OFFSET :offset"
