"""SQLite: the port Overview."""

from __future__ import annotations

from dataclasses import fields

from iuserver.catalog.sqlite_base import ACCOUNT_COLUMNS, SqliteBase, account_of
from iuserver.records import Account, Image, OwnedImage

ACCOUNTS_PAGE = f"""
    SELECT {ACCOUNT_COLUMNS} FROM accounts WHERE email > ? AND instr(lower(email), lower(?)) ORDER BY email LIMIT ?
"""
# The index of each account's images is asked: one of all images by time would cost every upload.
NEWEST = f"""
    SELECT {", ".join(f"images.{f.name}" for f in fields(Image))}, accounts.email
    FROM accounts CROSS JOIN images ON images.slug IN (
        SELECT slug FROM images AS own
        WHERE own.account_id = accounts.id AND (own.created_at, own.slug) < (?, ?) AND own.buried_at IS NULL
        ORDER BY own.created_at DESC, own.slug DESC LIMIT ?
    )
    ORDER BY images.created_at DESC, images.slug DESC LIMIT ?
"""
NEVER = (2**63 - 1, "")


class SqliteOverview(SqliteBase):
    """The port's methods."""

    async def accounts_page(self, text: str, after: str, limit: int) -> list[Account]:
        return [account_of(row) for row in await self._bulk_read(ACCOUNTS_PAGE, after, text, limit)]

    async def newest_images(self, before: tuple[int, str] | None, limit: int) -> list[OwnedImage]:
        rows = await self._bulk_read(NEWEST, *(before or NEVER), limit, limit)
        return [OwnedImage(Image(*row[:-1]), row[-1]) for row in rows]

    async def all_stored_bytes(self) -> int:
        ((total,),) = await self._bulk_read("SELECT coalesce(sum(stored_bytes), 0) FROM accounts")
        return int(total)
