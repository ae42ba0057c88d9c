"""Upload tickets: links that let whoever has one upload a single picture for the account that made it.

A ticket is kept by its holder alone: its options and the hash of its key are sealed into it, so every node knows it,
and it dies with the key. That it was used is known by an idempotency key of its account, claimed when an upload begins
and kept by the commit: exactly one upload succeeds, whatever dies in between, and one that fails leaves the ticket
good.
"""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import orjson

from iuserver import policy, signing
from iuserver.errors import Fault
from iuserver.ports import Catalog
from iuserver.records import Caller, IdempotentResult
from iuserver.uploads import Uploads, UploadSession, terms

PREFIX = "tk_"
MINUTES = 15
KEY_HASH_BYTES = 32
MAX_CONTENT = 2048
"""Bytes that a ticket's fields may have, or its link would be too long for browsers, proxies and our own routes."""
NAME_CHARACTERS = signing.NAME_BYTES * 4 // 3


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket: its name, which anybody may know, the end of its time, whose it is, and the fields of its upload."""

    id: str
    until: int
    key_hash: bytes
    fields: dict[str, str]


@dataclass(frozen=True, slots=True)
class Tickets:
    """The use case and what it works with. `secret` seals tickets, `clock` gives unix seconds."""

    catalog: Catalog
    uploads: Uploads
    secret: bytes
    clock: Callable[[], float]

    async def issue(self, caller: Caller, fields: Mapping[str, str]) -> tuple[Ticket, str]:
        """A new ticket, and the word that its link ends with. `fields` are an upload's, and `filename`.

        Raises Fault where such an upload would be refused: read_only, bad_field, plan_required, quota_exceeded.
        """
        if self.uploads.read_only:
            raise policy.read_only()
        now = int(self.clock())
        form, _ = terms(caller.plan, fields, fields.get("filename", ""), now)
        policy.check_month(policy.quota_of(caller.account, caller.plan, now), now)
        await self._check_folder(caller, form.folder)
        until = now + MINUTES * 60
        name = until.to_bytes(4) + secrets.token_bytes(signing.NAME_BYTES - 4)
        content = caller.account.key_hash + _packed(fields)
        word = PREFIX + signing.seal(self.secret, name, content)
        return Ticket(_id(name), until, caller.account.key_hash, dict(fields)), word

    def open(self, word: str) -> Ticket:
        """The ticket that a link ends with. Raises Fault("not_found"), also when its time is over."""
        found = signing.unseal(self.secret, word.removeprefix(PREFIX)) if word.startswith(PREFIX) else None
        if found is None:
            raise _none()
        name, content = found
        ticket = Ticket(_id(name), _end(name), content[:KEY_HASH_BYTES], orjson.loads(content[KEY_HASH_BYTES:]))
        if self.clock() >= ticket.until:
            raise _none()
        return ticket

    async def begin(self, ticket: Ticket, caller: Caller, declared_size: int | None) -> UploadSession:
        """Let the holder of a ticket send its picture. Raises Fault: ticket_used, and what `Uploads.begin` raises."""
        try:
            session = await self.uploads.begin(caller, declared_size, "mcp", _claim(ticket.id))
        except Fault as fault:
            raise _reworded(fault) from fault.__cause__
        if session.repeats:
            session.close()
            raise _used()
        return session

    async def check_unused(self, ticket: Ticket, caller: Caller) -> None:
        """Raises Fault: read_only, ticket_used, in_progress."""
        if self.uploads.read_only:
            raise policy.read_only()
        if await self._look(caller, ticket.id):
            raise _used()

    async def outcome(self, caller: Caller, word: str) -> str:
        """The slug of the image that was uploaded with a ticket of the caller's; its id will do.

        Raises Fault: not_found where none was yet, in_progress.
        """
        name = _name(word)
        if name is None:
            raise _none()
        kept = await self._look(caller, _id(name))
        if kept and kept.stored:
            return kept.stored.image.slug
        if kept:
            raise Fault("not_found", "The image that was uploaded with this ticket is gone")
        left = _end(name) - int(self.clock())
        if left <= 0:
            raise Fault("not_found", "Nothing was uploaded with this ticket, and its time is over")
        raise Fault(
            "not_found", f"Nothing was uploaded with this ticket yet; it is good for {-(-left // 60)} more minutes"
        )

    async def _look(self, caller: Caller, ticket_id: str) -> IdempotentResult | None:
        """What a ticket was used for."""
        try:
            return await self.catalog.used_key(caller.account.id, _claim(ticket_id), int(self.clock()))
        except Fault as fault:
            raise _reworded(fault) from fault.__cause__

    async def _check_folder(self, caller: Caller, folder: str | None) -> None:
        known = {of.slug for of, _ in await self.catalog.folders(caller.account.id)} if folder else set()
        if folder and folder not in known:
            raise Fault("bad_field", "folder is not the slug of a folder of yours")


def is_ticket(slug: str) -> bool:
    """Whether this names a ticket; no image's slug begins like that."""
    return slug.startswith(PREFIX)


def _packed(fields: Mapping[str, str]) -> bytes:
    packed = orjson.dumps(dict(fields))
    if len(packed) > MAX_CONTENT:
        raise Fault("bad_field", f"The fields of an upload link may have {MAX_CONTENT} bytes in all")
    return packed


def _id(name: bytes) -> str:
    return PREFIX + urlsafe_b64encode(name).decode()


def _name(word: str) -> bytes | None:
    """The name of a ticket, by its id or its whole word."""
    try:
        name = urlsafe_b64decode(word.removeprefix(PREFIX)[:NAME_CHARACTERS].encode("ascii"))
    except ValueError:
        return None
    return name if len(name) == signing.NAME_BYTES else None


def _end(name: bytes) -> int:
    return int.from_bytes(name[:4])


def _claim(ticket_id: str) -> str:
    """The idempotency key of a ticket; no client's has a space."""
    return f"ticket {ticket_id}"


def _none() -> Fault:
    return Fault("not_found", "There is no such upload link, or its time is over")


def _used() -> Fault:
    return Fault("ticket_used", "This upload link has been used")


def _reworded(fault: Fault) -> Fault:
    """A fault of the claim, in the words of tickets."""
    if fault.code == "idempotency_conflict":
        return _used()
    if fault.code != "in_progress":
        return fault
    return Fault("in_progress", "An upload with this ticket is under way", retry_after=fault.retry_after)
