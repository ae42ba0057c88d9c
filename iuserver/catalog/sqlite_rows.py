"""SQLite: the SQL that reads and inserts the rows that `copy-catalog` copies, by kind."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from iuserver.forms import search_name
from iuserver.records import ROW_KEYS, Account, Block, Image, Row

COLUMNS: dict[str, list[str]] = {
    "secrets": ["name", "value"],
    "accounts": [f.name for f in fields(Account)],
    "images": [f.name for f in fields(Image)],
    "ledger": ["month", "account_id", "blob", "slug"],
    "kept_slugs": ["slug", "until"],
    "idempotency_keys": ["account_id", "key", "claimed_at", "lease_until", "fingerprint", "answer", "blob"],
    "blocks": [f.name for f in fields(Block)],
}
FOLDER_COLUMNS = ("slug", "name", "created_at")
WITHIN = {
    "accounts": [
        """(SELECT json_group_array(json_object('slug', slug, 'name', name, 'created_at', created_at))
            FROM folders WHERE account_id = accounts.id)""",
        """(SELECT json_group_object(folder, images)
            FROM image_counts WHERE account_id = accounts.id AND images > 0)""",
    ],
    "images": [
        "(SELECT json_group_array(hex(viewer)) FROM viewers WHERE viewers.slug = images.slug)",
        """(SELECT json_group_array(json_object('hash', hex(hash), 'lapses_at', lapses_at))
            FROM grants WHERE grants.slug = images.slug)""",
    ],
}
"""What else is selected, behind the columns: what other tables have that belongs to the row."""
DERIVED: dict[str, dict[str, Callable[[Row], Any]]] = {
    "images": {
        "search_name": lambda row: search_name(row["filename"]),
        "locked": lambda row: row["password_hash"] is not None,
    }
}
"""What is inserted, behind the columns, and no part of a row."""
INSERT_FOLDER = "INSERT OR IGNORE INTO folders (account_id, slug, name, created_at) VALUES (?, ?, ?, ?)"
INSERT_VIEWER = "INSERT OR IGNORE INTO viewers (slug, viewer) VALUES (?, ?)"
INSERT_GRANT = "INSERT OR IGNORE INTO grants (slug, hash, lapses_at) VALUES (?, ?, ?)"
WHICH = {kind: "fingerprint IS NOT NULL" if kind == "idempotency_keys" else "TRUE" for kind in ROW_KEYS}
SELECT = {
    kind: f"SELECT {', '.join([*columns, *WITHIN.get(kind, [])])} FROM {kind} WHERE {WHICH[kind]}"
    for kind, columns in COLUMNS.items()
}
LAST = {
    kind: f"{SELECT[kind]} ORDER BY {', '.join(f'{key} DESC' for key in ROW_KEYS[kind])} LIMIT 1" for kind in SELECT
}
COUNT = {kind: f"SELECT count(*) FROM {kind} WHERE {WHICH[kind]}" for kind in COLUMNS}
INSERTED = {kind: [*columns, *DERIVED.get(kind, {})] for kind, columns in COLUMNS.items()}
INSERT = {
    kind: f"INSERT OR IGNORE INTO {kind} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    for kind, columns in INSERTED.items()
}


def selection(kind: str, after: Row | None, limit: int) -> tuple[str, list[Any]]:
    """The statement that reads the rows behind one, and its values."""
    keys = ", ".join(ROW_KEYS[kind])
    behind = f"AND ({keys}) > ({', '.join('?' * len(ROW_KEYS[kind]))})" if after else ""
    values = [after[key] for key in ROW_KEYS[kind]] if after else []
    return f"{SELECT[kind]} {behind} ORDER BY {keys} LIMIT ?", [*values, limit]


def row_of(kind: str, found: tuple[Any, ...]) -> Row:
    """What a SELECT has found, as a row."""
    row = dict(zip(COLUMNS[kind], found, strict=False))
    if kind == "accounts":
        row["disabled"] = bool(row["disabled"])
        row["folders"] = sorted(json.loads(found[-2]), key=lambda folder: folder["slug"])
        row["shelves"] = json.loads(found[-1])
    if kind == "images":
        row["viewers"] = sorted(map(bytes.fromhex, json.loads(found[-2])))
        grants = [{**grant, "hash": bytes.fromhex(grant["hash"])} for grant in json.loads(found[-1])]
        row["grants"] = sorted(grants, key=lambda grant: grant["hash"])
    return row


def insert(connection: sqlite3.Connection, kind: str, rows: list[Row]) -> None:
    """Store rows. The numbers of an account's images are not: they are counted as those are stored."""
    derived = DERIVED.get(kind, {}).values()
    values = [[*(row[name] for name in COLUMNS[kind]), *(derive(row) for derive in derived)] for row in rows]
    connection.executemany(INSERT[kind], values)
    for row in rows if kind == "accounts" else []:
        folders = [[row["id"], *(folder[name] for name in FOLDER_COLUMNS)] for folder in row["folders"]]
        connection.executemany(INSERT_FOLDER, folders)
    for row in rows if kind == "images" else []:
        connection.executemany(INSERT_VIEWER, [(row["slug"], viewer) for viewer in row["viewers"]])
        grants = [(row["slug"], grant["hash"], grant["lapses_at"]) for grant in row["grants"]]
        connection.executemany(INSERT_GRANT, grants)
