"""What admins do: accounts, everybody's newest images, the blocklist, invites, the audit log.

Every method raises Fault("forbidden") for a caller who is no admin; every change is a row of the audit log.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from iuserver import forms, policy, signing
from iuserver.accounts import Accounts, NewLink
from iuserver.audit_log import AuditLog
from iuserver.errors import Fault
from iuserver.library import Library
from iuserver.moderation import Moderation
from iuserver.ports import WholeCatalog
from iuserver.records import Account, Actor, AuditRow, Block, Caller, Client, Invite, OwnedImage

MAX_NOTE = 100
SHA256 = re.compile(r"[0-9a-fA-F]{64}")
PLACE = re.compile(r"(\d{1,12})\.([A-Za-z0-9_-]{1,64})", re.ASCII)


@dataclass(frozen=True, slots=True)
class AccountUsage:
    """An account as an admin sees it. `used` counts this month's uploads; `seen_at` is when a session of it or its key
    was last seen (to the hour, to the day), None: never."""

    account: Account
    used: int
    seen_at: int | None


@dataclass(frozen=True, slots=True)
class NewInvite:
    """An invite with its token, for the link: the one time that it can be shown."""

    token: str
    invite: Invite


@dataclass(frozen=True, slots=True)
class Admin:
    """The use case of admins, and what it works with. `clock` gives unix seconds.

    `after` and `next` are cursors: the `next` of a page is the `after` of the following one, None at both ends.
    Accounts are named by `account.id`.
    """

    catalog: WholeCatalog
    manage: Accounts
    library: Library
    moderation: Moderation
    audit_log: AuditLog
    clock: Callable[[], float]

    async def accounts(
        self, caller: Caller, text: str = "", after: str | None = None, limit: int = 50
    ) -> tuple[list[AccountUsage], str | None]:
        """A page of the accounts whose address has `text` in it (case-blind), by address; and `next`."""
        _check(caller)
        if not (_is_searchable(text) and _is_searchable(after or "")):
            return [], None
        page = await self.catalog.accounts_page(text, after or "", limit)
        return await self._usage_of(page), page[-1].email if len(page) == limit else None

    async def account(self, caller: Caller, id: str) -> AccountUsage:
        """One account. Raises Fault("not_found")."""
        return (await self._usage_of([await self._named(caller, id)]))[0]

    async def put_on_plan(self, caller: Caller, id: str, plan: str, client: Client) -> Account:
        """Put an account on a plan. Raises Fault: not_found, bad_field."""
        account = await self._named(caller, id)
        return await self.manage.put_on_plan(account.email, plan, _actor(caller, client))

    async def disable(self, caller: Caller, id: str, client: Client) -> Account:
        """Disable an account: its key is dead and its sessions end. Raises Fault: not_found, bad_field (one's own)."""
        account = _not_own(caller, await self._named(caller, id))
        return await self.manage.disable(account.email, _actor(caller, client))

    async def enable(self, caller: Caller, id: str, client: Client) -> Account:
        """Enable an account. Raises Fault("not_found")."""
        account = await self._named(caller, id)
        return await self.manage.enable(account.email, _actor(caller, client))

    async def make_link(self, caller: Caller, id: str, client: Client) -> NewLink:
        """A one-time sign-in link for an account, good for a day. Raises Fault: not_found, bad_field (disabled)."""
        return await self.manage.make_link(await self._named(caller, id), _actor(caller, client))

    async def remove(self, caller: Caller, id: str, client: Client) -> Account:
        """Delete an account with its images. Raises Fault: not_found, bad_field (one's own)."""
        account = _not_own(caller, await self._named(caller, id))
        by = _actor(caller, client)
        return await self.manage.remove(account.email, self.library.delete_all_of, by)

    async def newest_images(
        self, caller: Caller, after: str | None = None, limit: int = 50
    ) -> tuple[list[OwnedImage], str | None]:
        """A page of everybody's images, the newest first, without tombstones; and `next`.

        No bytes: those of a `gated` image are not for an admin, nor is its thumbnail.
        """
        _check(caller)
        page = await self.catalog.newest_images(_place(after), limit)
        last = page[-1].image if len(page) == limit else None
        return page, f"{last.created_at}.{last.slug}" if last else None

    async def blocks(self, caller: Caller) -> list[Block]:
        """The blocklist, the newest first."""
        _check(caller)
        return (await self.moderation.all())[::-1]

    async def block_image(self, caller: Caller, slug: str, purge: bool, client: Client) -> tuple[Block, int]:
        """Put a stored image on the blocklist; with `purge`, delete it wherever it is stored. Returns how many copies
        were deleted. It may take seconds. Raises Fault("not_found")."""
        _check(caller)
        return await self._purge(caller, await self.moderation.block_image(slug, f"/i/{slug}"), purge, client)

    async def block_hash(self, caller: Caller, sha256: str, purge: bool, client: Client) -> tuple[Block, int]:
        """The same by the hash of its stored bytes, in hex. Raises Fault("bad_field")."""
        _check(caller)
        if not SHA256.fullmatch(sha256):
            raise Fault("bad_field", "This is no SHA-256: 64 hexadecimal digits")
        block = await self.moderation.block(bytes.fromhex(sha256), None, "SHA-256")
        return await self._purge(caller, block, purge, client)

    async def unblock(self, caller: Caller, id: str, client: Client) -> None:
        """Take a picture off the blocklist. Raises Fault("not_found")."""
        _check(caller)
        await self.moderation.unblock(id)
        await self.audit_log.note(_actor(caller, client), "picture_unblocked", id)

    async def invites(self, caller: Caller) -> list[Invite]:
        """The invites that are not used and have not lapsed, the newest first. `invite.id` names one in addresses."""
        _check(caller)
        return [invite for invite in await self.catalog.invites() if self.clock() < invite.expires_at]

    async def make_invite(self, caller: Caller, plan: str, note: str, client: Client) -> NewInvite:
        """An invite, good for a week, for an account on a plan. Raises Fault("bad_field") (plan; note over 100
        characters)."""
        _check(caller)
        if len(note) > MAX_NOTE or not note.isprintable():
            raise Fault("bad_field", f"A note has at most {MAX_NOTE} characters, all of them visible")
        token, now = signing.new_token(), int(self.clock())
        until, maker = now + policy.INVITE_SECONDS, caller.account.email
        invite = Invite(signing.token_hash(token), self.manage.known_plan(plan), note, maker, now, until)
        await self.catalog.add_invite(invite)
        await self.audit_log.note(_actor(caller, client), "invite_made", invite.id, note)
        return NewInvite(token, invite)

    async def revoke_invite(self, caller: Caller, id: str, client: Client) -> None:
        """Make an invite void. Raises Fault("not_found")."""
        revoked = [invite for invite in await self.invites(caller) if invite.id == id]
        if not revoked or not await self.catalog.take_invite(revoked[0].hash):
            raise Fault("not_found", "There is no such invitation")
        await self.audit_log.note(_actor(caller, client), "invite_revoked", id, revoked[0].note)

    async def audit(
        self, caller: Caller, after: str | None = None, limit: int = 50
    ) -> tuple[list[AuditRow], str | None]:
        """A page of the audit log, the newest first; and `next`."""
        _check(caller)
        if not _is_searchable(after or ""):
            return [], None
        page = await self.audit_log.page(after, limit)
        return page, page[-1].id if len(page) == limit else None

    async def _named(self, caller: Caller, id: str) -> Account:
        """The account with an id. Raises Fault: forbidden, not_found."""
        _check(caller)
        account = await self.catalog.account(id) if _is_searchable(id) else None
        if account is None:
            raise Fault("not_found", "There is no such account")
        return account

    async def _usage_of(self, accounts: list[Account]) -> list[AccountUsage]:
        month, seen = policy.month_of(self.clock()), await self.catalog.last_seen([one.id for one in accounts])
        return [
            AccountUsage(
                account, account.used_in(month), max(seen.get(account.id, 0), account.key_used_on or 0) or None
            )
            for account in accounts
        ]

    async def _purge(self, caller: Caller, block: Block, purge: bool, client: Client) -> tuple[Block, int]:
        """Note a block, then purge what it means: the block stands even if that fails."""
        by, count = _actor(caller, client), 0
        await self.audit_log.note(by, "picture_blocked", block.id, block.origin)
        if purge:
            count = await self.moderation.purge(block, self.library.delete_record)
            await self.audit_log.note(by, "picture_purged", block.id, f"{count} copies")
        return block, count


def _check(caller: Caller) -> None:
    if not caller.admin:
        raise Fault("forbidden", "This is for admins")


def _not_own(caller: Caller, account: Account) -> Account:
    """Who locks himself out would need somebody with a terminal to get in again."""
    if account.id == caller.account.id:
        raise Fault("bad_field", "This is your own account: ask another admin, or use the command line")
    return account


def _actor(caller: Caller, client: Client) -> Actor:
    return Actor(caller.account.email, client.masked)


def _is_searchable(text: str) -> bool:
    """Whether a store can be asked for a text: it is short, and has nothing that cannot be encoded."""
    return len(text) <= forms.MAX_EMAIL and text.isprintable()


def _place(cursor: str | None) -> tuple[int, str] | None:
    """The time and slug of a cursor. Raises Fault("bad_field")."""
    if cursor is None:
        return None
    match = PLACE.fullmatch(cursor)
    if not match:
        raise Fault("bad_field", "after is no place in this list")
    return int(match[1]), match[2]
