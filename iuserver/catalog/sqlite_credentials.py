"""SQLite: the port Credentials, which is about columns of the table of accounts."""

from __future__ import annotations

import sqlite3

from iuserver.catalog.sqlite_base import ACCOUNT_COLUMNS, SqliteBase, account_of
from iuserver.records import Account

NOTE_KEY_USE = "UPDATE accounts SET key_used_on = ? WHERE key_hash = ?"


class SqliteCredentials(SqliteBase):
    """The port's methods."""

    async def account(self, id: str) -> Account | None:
        return self._account_where("id", id)

    async def account_by_email(self, email: str) -> Account | None:
        return self._account_where("email", email)

    async def set_password(self, id: str, password_hash: str) -> Account:
        return await self._change("password_hash = ?, epoch = epoch + 1", "id", id, password_hash)

    async def set_admin(self, email: str, admin: bool) -> Account:
        return await self._change("admin = ?", "email", email, admin)

    async def next_epoch(self, id: str) -> Account:
        return await self._change("epoch = epoch + 1", "id", id)

    async def note_key_uses(self, key_hashes: list[bytes], day: int) -> None:
        def step(connection: sqlite3.Connection) -> None:
            connection.executemany(NOTE_KEY_USE, [(day, key_hash) for key_hash in key_hashes])

        await self._writer.commit(step)

    def _account_where(self, column: str, value: str) -> Account | None:
        rows = self._read(f"SELECT {ACCOUNT_COLUMNS} FROM accounts WHERE {column} = ?", value)
        return account_of(rows[0]) if rows else None
