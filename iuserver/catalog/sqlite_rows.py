"""The rows of a SQLite catalog, as they are copied: the SQL that reads and stores them, kind by kind."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import fields
from typing import Any

from iuserver.records import ROW_KEYS, Account, Image, Row

COLUMNS: dict[str, list[str]] = {
    "secrets": ["name", "value"],
    "accounts": [f.name for f in fields(Account)],
    "images": [f.name for f in fields(Image)],
    "ledger": ["month", "account_id", "blob", "slug"],
    "kept_slugs": ["slug", "until"],
    "idempotency_keys": ["account_id", "key", "claimed_at", "lease_until", "fingerprint", "answer"],
}
FOLDER_COLUMNS = ("slug", "name", "created_at")
FOLDERS = """
    (SELECT json_group_array(json_object('slug', slug, 'name', name, 'created_at', created_at))
     FROM folders WHERE account_id = accounts.id)
"""
INSERT_FOLDER = "INSERT OR IGNORE INTO folders (account_id, slug, name, created_at) VALUES (?, ?, ?, ?)"
WHICH = {kind: "fingerprint IS NOT NULL" if kind == "idempotency_keys" else "TRUE" for kind in ROW_KEYS}
SELECT = {
    kind: f"SELECT {', '.join([*columns, FOLDERS] if kind == 'accounts' else columns)} FROM {kind} WHERE {WHICH[kind]}"
    for kind, columns in COLUMNS.items()
}
LAST = {
    kind: f"{SELECT[kind]} ORDER BY {', '.join(f'{key} DESC' for key in ROW_KEYS[kind])} LIMIT 1" for kind in SELECT
}
COUNT = {kind: f"SELECT count(*) FROM {kind} WHERE {WHICH[kind]}" for kind in COLUMNS}
INSERT = {
    kind: f"INSERT OR IGNORE INTO {kind} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    for kind, columns in COLUMNS.items()
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
        row["folders"] = sorted(json.loads(found[-1]), key=lambda folder: folder["slug"])
    return row


def insert(connection: sqlite3.Connection, kind: str, rows: list[Row]) -> None:
    connection.executemany(INSERT[kind], [[row[name] for name in COLUMNS[kind]] for row in rows])
    for row in rows if kind == "accounts" else []:
        folders = [[row["id"], *(folder[name] for name in FOLDER_COLUMNS)] for folder in row["folders"]]
        connection.executemany(INSERT_FOLDER, folders)
