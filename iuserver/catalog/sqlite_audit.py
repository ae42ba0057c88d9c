"""SQLite: the port Audit."""

from __future__ import annotations

from dataclasses import astuple, fields

from iuserver.catalog.sqlite_base import SqliteBase
from iuserver.policy import audit_id
from iuserver.records import AuditRow

COLUMNS = ", ".join(f.name for f in fields(AuditRow))
PURGE = "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE id < ? ORDER BY id LIMIT ?)"


class SqliteAudit(SqliteBase):
    """The port's methods."""

    async def add_audit(self, row: AuditRow) -> None:
        await self._write(f"INSERT INTO audit ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)", *astuple(row))

    async def audit_page(self, before: str | None, limit: int) -> list[AuditRow]:
        which, values = ("TRUE", []) if before is None else ("id < ?", [before])
        sql = f"SELECT {COLUMNS} FROM audit WHERE {which} ORDER BY id DESC LIMIT ?"
        return [AuditRow(*row) for row in await self._bulk_read(sql, *values, limit)]

    async def purge_audit(self, before: int, limit: int) -> int:
        return await self._write(PURGE, audit_id(before, ""), limit)
