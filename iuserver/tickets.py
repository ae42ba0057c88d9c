"""Upload tickets: links that let their holder upload one picture for the account that issued them.

A ticket is stored nowhere: its options and its issuer's key hash are sealed into it, so every node can read it, and
it expires with the key. Single use is enforced by an idempotency key of the account, claimed when an upload begins and
stored by its commit: exactly one upload succeeds, whatever crashes in between; a failed one leaves the ticket valid.
"""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64encode
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


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket: its id, which anybody may know, when it expires, whose it is, and the fields of its upload."""

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
        """A new ticket, and the token that its link ends with. `fields` are an upload's, and `filename`.

        Raises Fault where such an upload would be refused: read_only, bad_field, plan_required, quota_exceeded.
        """
        if self.uploads.read_only:
            raise policy.read_only()
        now = int(self.clock())
        form, _ = terms(caller.plan, fields, fields.get("filename", ""), now)
        policy.check_month(policy.quota_of(caller.account, caller.plan, now), now)
        await self._check_folder(caller, form.folder)
        until = now + MINUTES * 60
        nonce = until.to_bytes(4) + secrets.token_bytes(signing.NONCE_BYTES - 4)
        content = caller.account.key_hash + _packed(fields)
        token = PREFIX + signing.seal(self.secret, nonce, content)
        return Ticket(_id(nonce), until, caller.account.key_hash, dict(fields)), token

    def open(self, token: str) -> Ticket:
        """The ticket of a link's token. Raises Fault("not_found"), also when it has expired."""
        found = signing.unseal(self.secret, token.removeprefix(PREFIX)) if token.startswith(PREFIX) else None
        if found is None:
            raise no_such_ticket()
        nonce, content = found
        ticket = Ticket(_id(nonce), _end(nonce), content[:KEY_HASH_BYTES], orjson.loads(content[KEY_HASH_BYTES:]))
        if self.clock() >= ticket.until:
            raise no_such_ticket()
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

    async def outcome(self, caller: Caller, token: str) -> str:
        """The slug of the image that was uploaded with a ticket of the caller's; its id will do.

        Raises Fault: not_found where none was yet, in_progress.
        """
        nonce = signing.nonce_of(token.removeprefix(PREFIX))
        if nonce is None:
            raise no_such_ticket()
        earlier = await self._look(caller, _id(nonce))
        if earlier and earlier.stored:
            return earlier.stored.image.slug
        if earlier:
            raise Fault("not_found", "The image that was uploaded with this ticket is gone")
        left = _end(nonce) - int(self.clock())
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


def _id(nonce: bytes) -> str:
    """The public name of a ticket: the beginning of its token."""
    return PREFIX + signing.SEAL_VERSION + urlsafe_b64encode(nonce).decode()


def _end(nonce: bytes) -> int:
    return int.from_bytes(nonce[:4])


def _claim(ticket_id: str) -> str:
    """The idempotency key of a ticket; no client's has a space."""
    return f"ticket {ticket_id}"


def no_such_ticket() -> Fault:
    """The fault for a link that never was a ticket, or is none any more."""
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
