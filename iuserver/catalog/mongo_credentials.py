"""MongoDB: the port Credentials, which is about fields of an account's document."""

from __future__ import annotations

from iuserver.catalog.mongo_base import MongoBase, by_email, prompt
from iuserver.catalog.mongo_documents import ACCOUNT_ONLY, Document, account_of
from iuserver.records import Account


class MongoCredentials(MongoBase):
    """The port's methods."""

    async def account(self, id: str) -> Account | None:
        return await self._account_where({"_id": id})

    async def account_by_email(self, email: str) -> Account | None:
        return await self._account_where(by_email(email))

    async def set_password(self, id: str, password_hash: str) -> Account:
        return await self._change({"_id": id}, {"$set": {"password_hash": password_hash}, "$inc": {"epoch": 1}})

    async def set_admin(self, email: str, admin: bool) -> Account:
        return await self._change(by_email(email), {"$set": {"admin": admin}})

    async def next_epoch(self, id: str) -> Account:
        return await self._change({"_id": id}, {"$inc": {"epoch": 1}})

    @prompt
    async def note_key_uses(self, key_hashes: list[bytes], day: int) -> None:
        await self._store.accounts.update_many({"key_hash": {"$in": key_hashes}}, {"$set": {"key_used_on": day}})

    @prompt
    async def _account_where(self, which: Document) -> Account | None:
        found = await self._store.accounts.find_one(which, ACCOUNT_ONLY)
        return account_of(found) if found else None
