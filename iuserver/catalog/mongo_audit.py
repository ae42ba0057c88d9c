"""MongoDB: the port Audit."""

from __future__ import annotations

from iuserver.catalog.mongo_base import MongoBase, bulk_read, prompt, purge
from iuserver.catalog.mongo_documents import keyed_document, keyed_of
from iuserver.policy import audit_id
from iuserver.records import AuditRow


class MongoAudit(MongoBase):
    """The port's methods."""

    @prompt
    async def add_audit(self, row: AuditRow) -> None:
        await self._store.audit.insert_one(keyed_document(row))

    @bulk_read
    async def audit_page(self, before: str | None, limit: int) -> list[AuditRow]:
        which = {} if before is None else {"_id": {"$lt": before}}
        cursor = self._store.audit.find(which).sort("_id", -1).limit(limit)
        return [keyed_of(AuditRow, document) async for document in cursor]

    @bulk_read
    async def purge_audit(self, before: int, limit: int) -> int:
        return await purge(self._store.audit, {"_id": {"$lt": audit_id(before, "")}}, limit)
