"""The SQLite schema: from every version there was to today's, and never back."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from iuserver.catalog import schema
from iuserver.catalog.sqlite import SqliteCatalog

ACCOUNT = """
    INSERT INTO accounts (id, email, plan, key_hash, key_last4, created_at, disabled, stored_bytes, month, used)
    VALUES ('a1', 'a@example.org', 'pro', x'00', 'abcd', 1, 0, 1000, '2026-11', 1)
"""
IMAGE = """
    INSERT INTO images (slug, blob, account_id, filename, ext, mime, size, width, height, expiration, expires_at,
        view_limit, password_hash, folder, upload_source, created_at)
    VALUES ('aaaaaaaa', '00', 'a1', 'cat.jpg', 'jpg', 'image/jpeg', 1000, 3, 2, 'forever', NULL, NULL, NULL, NULL,
        'api', 1)
"""


@pytest.mark.parametrize("version", range(1, len(schema.MIGRATIONS)))
def test_what_an_older_version_has_stored_is_there(
    tmp_path: Path, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "catalog.db"
    connection = sqlite3.connect(path, isolation_level=None)
    with monkeypatch.context() as older:
        older.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:version])
        schema.migrate(connection)
    connection.execute(ACCOUNT)
    connection.execute(IMAGE)
    connection.close()

    async def work() -> None:
        catalog = SqliteCatalog(path)
        image = await catalog.image("aaaaaaaa")
        assert image
        assert (image.filename, image.size, image.created_at) == ("cat.jpg", 1000, 1)
        account = await catalog.account_by_key(b"\0")
        assert account
        assert (account.email, account.stored_bytes, account.used) == ("a@example.org", 1000, 1)
        assert [image.slug for image in await catalog.images_page("", 9)] == ["aaaaaaaa"]
        await catalog.close()

    asyncio.run(work())
