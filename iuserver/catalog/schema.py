"""The SQLite schema as the list of its migrations; a database's `user_version` counts those it has had."""

from __future__ import annotations

import sqlite3

MIGRATIONS = [
    """
    CREATE TABLE accounts (
        id           TEXT PRIMARY KEY,
        email        TEXT NOT NULL UNIQUE COLLATE NOCASE,
        plan         TEXT NOT NULL,
        key_hash     BLOB NOT NULL UNIQUE,
        key_last4    TEXT NOT NULL,
        created_at   INTEGER NOT NULL,
        disabled     INTEGER NOT NULL,
        stored_bytes INTEGER NOT NULL,
        month        TEXT NOT NULL,
        used         INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE images (
        slug          TEXT PRIMARY KEY,
        blob          TEXT NOT NULL UNIQUE,
        account_id    TEXT NOT NULL REFERENCES accounts (id),
        filename      TEXT NOT NULL,
        ext           TEXT NOT NULL,
        mime          TEXT NOT NULL,
        size          INTEGER NOT NULL,
        width         INTEGER NOT NULL,
        height        INTEGER NOT NULL,
        expiration    TEXT NOT NULL,
        expires_at    INTEGER,
        view_limit    INTEGER,
        password_hash TEXT,
        folder        TEXT,
        upload_source TEXT NOT NULL,
        created_at    INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX images_by_account ON images (account_id, created_at);

    CREATE TABLE ledger (
        slug       TEXT NOT NULL,
        account_id TEXT NOT NULL,
        month      TEXT NOT NULL
    ) STRICT;
    CREATE INDEX ledger_by_month ON ledger (month, account_id);
    """,
    """
    CREATE TABLE folders (
        account_id TEXT NOT NULL REFERENCES accounts (id),
        slug       TEXT NOT NULL,
        name       TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        PRIMARY KEY (account_id, slug),
        UNIQUE (account_id, name)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE kept_slugs (
        slug  TEXT PRIMARY KEY,
        until INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE secrets (
        name  TEXT PRIMARY KEY,
        value BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
    """
    CREATE TABLE idempotency_keys (
        account_id  TEXT NOT NULL,
        key         TEXT NOT NULL,
        claimed_at  INTEGER NOT NULL,
        lease_until INTEGER NOT NULL,
        fingerprint BLOB,
        answer      BLOB,
        PRIMARY KEY (account_id, key)
    ) STRICT, WITHOUT ROWID;
    """,
    """
    CREATE INDEX images_by_expiry ON images (expires_at) WHERE expires_at IS NOT NULL;
    CREATE INDEX idempotency_keys_by_time ON idempotency_keys (claimed_at);
    CREATE INDEX kept_slugs_by_time ON kept_slugs (until);
    """,
    # A slug may come twice in an account's month, a blob never: what is told by it can be copied and found again.
    """
    CREATE TABLE ledger_by_blob (
        month      TEXT NOT NULL,
        account_id TEXT NOT NULL,
        blob       TEXT NOT NULL,
        slug       TEXT NOT NULL,
        PRIMARY KEY (month, account_id, blob)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO ledger_by_blob SELECT month, account_id, lower(hex(randomblob(16))), slug FROM ledger;
    DROP TABLE ledger;
    ALTER TABLE ledger_by_blob RENAME TO ledger;
    """,
]


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a database up to date, each step in a transaction of its own.

    Raises sqlite3.DatabaseError for a database that a newer iuserver has written.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise sqlite3.DatabaseError(f"its schema version {version} is newer than this program's {len(MIGRATIONS)}")
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        # Another process may have been faster: it is looked at again under the lock.
        connection.execute("BEGIN IMMEDIATE")
        if connection.execute("PRAGMA user_version").fetchone()[0] < number:
            for statement in script.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")
