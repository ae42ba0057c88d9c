"""SQLite: the port Invites."""

from __future__ import annotations

from dataclasses import astuple, fields

from iuserver.catalog.sqlite_base import SqliteBase
from iuserver.records import Invite

COLUMNS = ", ".join(f.name for f in fields(Invite))
PURGE = "DELETE FROM invites WHERE hash IN (SELECT hash FROM invites WHERE expires_at <= ? LIMIT ?)"


class SqliteInvites(SqliteBase):
    """The port's methods."""

    async def add_invite(self, invite: Invite) -> None:
        await self._write(f"INSERT INTO invites ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", *astuple(invite))

    async def invite(self, hash: bytes) -> Invite | None:
        rows = self._read(f"SELECT {COLUMNS} FROM invites WHERE hash = ?", hash)
        return Invite(*rows[0]) if rows else None

    async def invites(self) -> list[Invite]:
        rows = await self._bulk_read(f"SELECT {COLUMNS} FROM invites ORDER BY created_at DESC, hash")
        return [Invite(*row) for row in rows]

    async def take_invite(self, hash: bytes) -> bool:
        return bool(await self._write("DELETE FROM invites WHERE hash = ?", hash))

    async def purge_invites(self, now: int, limit: int) -> int:
        return await self._write(PURGE, now, limit)
