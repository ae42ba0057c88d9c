"""The SQLite schema: a list of migrations; `user_version` counts those that were applied."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from iuserver.forms import search_name

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
    # A slug may come twice in an account's month, a blob never: rows with its key can be copied and found again.
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
    # What viewers have seen, and what they may still fetch.
    """
    ALTER TABLE images ADD COLUMN views INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE images ADD COLUMN viewed_at INTEGER;
    ALTER TABLE images ADD COLUMN let_go_at INTEGER;
    ALTER TABLE images ADD COLUMN buried_at INTEGER;
    CREATE INDEX images_to_bury ON images (let_go_at) WHERE let_go_at IS NOT NULL;

    CREATE TABLE viewers (
        slug   TEXT NOT NULL REFERENCES images (slug) ON DELETE CASCADE,
        viewer BLOB NOT NULL,
        PRIMARY KEY (slug, viewer)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE grants (
        slug      TEXT NOT NULL REFERENCES images (slug) ON DELETE CASCADE,
        hash      BLOB NOT NULL,
        lapses_at INTEGER NOT NULL,
        PRIMARY KEY (slug, hash)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX grants_by_time ON grants (lapses_at);
    """,
    # Lists: an index for each order that is asked for, and counts that need not be counted.
    """
    CREATE INDEX images_by_folder ON images (account_id, folder, created_at);

    CREATE TABLE image_counts (
        account_id TEXT NOT NULL,
        folder     TEXT NOT NULL,
        images     INTEGER NOT NULL,
        PRIMARY KEY (account_id, folder)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO image_counts SELECT account_id, coalesce(folder, ''), count(*) FROM images GROUP BY 1, 2;

    CREATE TRIGGER image_added AFTER INSERT ON images BEGIN
        INSERT INTO image_counts VALUES (new.account_id, coalesce(new.folder, ''), 1)
            ON CONFLICT DO UPDATE SET images = images + 1;
    END;
    CREATE TRIGGER image_removed AFTER DELETE ON images BEGIN
        UPDATE image_counts SET images = images - 1
            WHERE account_id = old.account_id AND folder = coalesce(old.folder, '');
    END;
    """,
    """
    CREATE TABLE blocks (
        id         TEXT PRIMARY KEY,
        sha256     BLOB NOT NULL UNIQUE,
        size       INTEGER,
        origin     TEXT NOT NULL,
        created_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
    # A claim has a token. A key knows its image's blob, so that its answer goes with the image ('': it is gone). What
    # stands there for images that are gone is forgotten, and what was made of a password by a fast hash.
    """
    ALTER TABLE idempotency_keys ADD COLUMN token TEXT;
    ALTER TABLE idempotency_keys ADD COLUMN blob TEXT;
    UPDATE idempotency_keys SET blob = json_extract(CAST(answer AS TEXT), '$.image.blob') WHERE answer IS NOT NULL;
    UPDATE idempotency_keys SET fingerprint = x'', answer = NULL, blob = '' WHERE answer IS NOT NULL AND (
        json_extract(CAST(answer AS TEXT), '$.image.password_hash') IS NOT NULL
        OR blob NOT IN (SELECT blob FROM images WHERE buried_at IS NULL)
    );
    CREATE INDEX idempotency_keys_by_blob ON idempotency_keys (blob);
    """,
    # What was left out of a picture. Lists by name and by size, searches (images_by_name has all that a list is
    # filtered and sorted by), and moves from folder to folder.
    """
    ALTER TABLE images ADD COLUMN removed_bytes INTEGER;
    ALTER TABLE images ADD COLUMN removed_kinds TEXT;
    ALTER TABLE images ADD COLUMN search_name TEXT NOT NULL DEFAULT '';
    ALTER TABLE images ADD COLUMN locked INTEGER NOT NULL DEFAULT 0;
    UPDATE images SET search_name = search_name(filename), locked = password_hash IS NOT NULL;
    CREATE INDEX images_by_size ON images (account_id, size);
    CREATE INDEX images_by_name ON images
        (account_id, search_name, slug, folder, created_at, size, locked, expires_at, let_go_at, buried_at);

    CREATE TRIGGER image_moved AFTER UPDATE OF folder ON images WHEN new.folder IS NOT old.folder BEGIN
        UPDATE image_counts SET images = images - 1
            WHERE account_id = old.account_id AND folder = coalesce(old.folder, '');
        INSERT INTO image_counts VALUES (new.account_id, coalesce(new.folder, ''), 1)
            ON CONFLICT DO UPDATE SET images = images + 1;
    END;
    """,
]


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a database up to date, each step in a transaction of its own.

    Raises sqlite3.DatabaseError for a database that a newer iuserver has written.
    """
    connection.create_function("search_name", 1, search_name)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise sqlite3.DatabaseError(f"its schema version {version} is newer than this program's {len(MIGRATIONS)}")
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        # Another process may have been faster: it is looked at again under the lock.
        connection.execute("BEGIN IMMEDIATE")
        if connection.execute("PRAGMA user_version").fetchone()[0] < number:
            for statement in _statements(script):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")


def _statements(script: str) -> Iterator[str]:
    """The statements of a script; those of a trigger have semicolons of their own."""
    statement = ""
    for part in script.split(";")[:-1]:
        statement += f"{part};"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
