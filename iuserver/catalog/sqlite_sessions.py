"""SQLite: the port Sessions."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import astuple, fields
from typing import Any, TypeVar

from iuserver.catalog.sqlite_base import ACCOUNT_FIELDS, SqliteBase, account_of
from iuserver.records import Account, Session, SignInLink

R = TypeVar("R", Session, SignInLink)

SESSION_COLUMNS = ", ".join(f.name for f in fields(Session))
ACCOUNT_OF_IT = ", ".join(f"accounts.{name}" for name in ACCOUNT_FIELDS)
INSERT_SESSION = f"""
    INSERT INTO sessions ({SESSION_COLUMNS}) SELECT ?, ?, ?, ?, ?, ?, ?
    WHERE EXISTS (SELECT 1 FROM accounts WHERE id = ?)
"""
DROP_SESSIONS = """
    DELETE FROM sessions WHERE hash IN
        (SELECT hash FROM sessions WHERE account_id = ? ORDER BY seen_at DESC, hash LIMIT -1 OFFSET ?)
"""
INSERT_LINK = """
    INSERT INTO sign_in_links SELECT ?, ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM accounts WHERE id = ?)
"""
LAST_SEEN = """
    SELECT account_id, max(seen_at) FROM sessions
    WHERE account_id IN (SELECT value FROM json_each(?)) GROUP BY account_id
"""
PURGE_SESSIONS = """
    DELETE FROM sessions WHERE hash IN (SELECT hash FROM sessions WHERE seen_at < ? OR created_at < ? LIMIT ?)
"""
PURGE_LINKS = """
    DELETE FROM sign_in_links WHERE hash IN (SELECT hash FROM sign_in_links WHERE expires_at <= ? LIMIT ?)
"""

OWNERLESS = "SELECT hash FROM {table} WHERE account_id NOT IN (SELECT id FROM accounts)"
TABLES = ("sessions", "sign_in_links")


class SqliteSessions(SqliteBase):
    """The port's methods."""

    async def add_session(self, session: Session, most: int) -> None:
        def step(connection: sqlite3.Connection) -> None:
            connection.execute(INSERT_SESSION, (*astuple(session), session.account_id))
            connection.execute(DROP_SESSIONS, (session.account_id, most))

        await self._writer.commit(step)

    async def session(self, hash: bytes) -> tuple[Session, Account] | None:
        return self._with_account(Session, "sessions", hash)

    async def sessions_of(self, account_id: str) -> list[Session]:
        sql = f"SELECT {SESSION_COLUMNS} FROM sessions WHERE account_id = ? ORDER BY seen_at DESC, hash"
        return [Session(*row) for row in self._read(sql, account_id)]

    async def last_seen(self, account_ids: list[str]) -> dict[str, int]:
        return dict(await self._bulk_read(LAST_SEEN, json.dumps(account_ids)))

    async def note_sessions_seen(self, hashes: list[bytes], now: int) -> None:
        def step(connection: sqlite3.Connection) -> None:
            sql = "UPDATE sessions SET seen_at = max(seen_at, ?) WHERE hash = ?"
            connection.executemany(sql, [(now, hash) for hash in hashes])

        await self._writer.commit(step)

    async def end_session(self, hash: bytes) -> None:
        await self._write("DELETE FROM sessions WHERE hash = ?", hash)

    async def end_sessions(self, account_id: str) -> None:
        def step(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM sessions WHERE account_id = ?", (account_id,))
            connection.execute("DELETE FROM sign_in_links WHERE account_id = ?", (account_id,))

        await self._writer.commit(step)

    async def purge_sessions(self, created_before: int, seen_before: int, limit: int) -> int:
        return await self._write(PURGE_SESSIONS, seen_before, created_before, limit)

    async def add_link(self, link: SignInLink) -> None:
        await self._write(INSERT_LINK, *astuple(link), link.account_id)

    async def link(self, hash: bytes) -> tuple[SignInLink, Account] | None:
        return self._with_account(SignInLink, "sign_in_links", hash)

    async def take_link(self, hash: bytes) -> bool:
        return bool(await self._write("DELETE FROM sign_in_links WHERE hash = ?", hash))

    async def purge_links(self, now: int, limit: int) -> int:
        return await self._write(PURGE_LINKS, now, limit)

    async def ownerless(self) -> int:
        found = [await self._bulk_read(OWNERLESS.format(table=table)) for table in TABLES]
        return sum(map(len, found))

    async def purge_ownerless(self, limit: int) -> int:
        sql = "DELETE FROM {table} WHERE hash IN (" + OWNERLESS + " LIMIT ?)"
        return sum([await self._write(sql.format(table=table), limit) for table in TABLES])

    def _with_account(self, kind: type[R], table: str, hash: bytes) -> tuple[R, Account] | None:
        columns = [f.name for f in fields(kind)]
        own = ", ".join(f"{table}.{name}" for name in columns)
        sql = f"SELECT {own}, {ACCOUNT_OF_IT} FROM {table} JOIN accounts ON accounts.id = account_id WHERE hash = ?"
        rows = self._read(sql, hash)
        if not rows:
            return None
        row: tuple[Any, ...] = rows[0]
        return kind(*row[: len(columns)]), account_of(row[len(columns) :])
