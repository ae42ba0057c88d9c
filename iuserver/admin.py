"""What admins do: accounts, everybody's newest images, the blocklist, invites, the audit log.

Every method raises Fault("forbidden") for a caller who is no admin; every change is a row of the audit log.
"""

from __future__ import annotations

from dataclasses import dataclass

from iuserver.accounts import NewLink
from iuserver.records import Account, AuditRow, Block, Caller, Client, Invite, OwnedImage


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


class Admin:
    """The use case of admins. `after` and `next` are cursors: the `next` of a page is the `after` of the following one,
    None at both ends. Accounts are named by `account.id`."""

    async def accounts(
        self, caller: Caller, text: str = "", after: str | None = None, limit: int = 50
    ) -> tuple[list[AccountUsage], str | None]:
        """A page of the accounts whose address has `text` in it (case-blind), by address; and `next`."""
        raise NotImplementedError

    async def account(self, caller: Caller, id: str) -> AccountUsage:
        """One account. Raises Fault("not_found")."""
        raise NotImplementedError

    async def put_on_plan(self, caller: Caller, id: str, plan: str, client: Client) -> Account:
        """Put an account on a plan. Raises Fault: not_found, bad_field."""
        raise NotImplementedError

    async def disable(self, caller: Caller, id: str, client: Client) -> Account:
        """Disable an account: its key is dead and its sessions end. Raises Fault: not_found, bad_field (one's own)."""
        raise NotImplementedError

    async def enable(self, caller: Caller, id: str, client: Client) -> Account:
        """Enable an account. Raises Fault("not_found")."""
        raise NotImplementedError

    async def make_link(self, caller: Caller, id: str, client: Client) -> NewLink:
        """A one-time sign-in link for an account, good for a day. Raises Fault: not_found, bad_field (disabled)."""
        raise NotImplementedError

    async def remove(self, caller: Caller, id: str, client: Client) -> Account:
        """Delete an account with its images. Raises Fault: not_found, bad_field (one's own)."""
        raise NotImplementedError

    async def newest_images(
        self, caller: Caller, after: str | None = None, limit: int = 50
    ) -> tuple[list[OwnedImage], str | None]:
        """A page of everybody's images, the newest first, without tombstones; and `next`.

        No bytes: those of a `gated` image are not for an admin, nor is its thumbnail.
        """
        raise NotImplementedError

    async def blocks(self, caller: Caller) -> list[Block]:
        """The blocklist, the newest first."""
        raise NotImplementedError

    async def block_image(self, caller: Caller, slug: str, purge: bool, client: Client) -> tuple[Block, int]:
        """Put a stored image on the blocklist; with `purge`, delete it wherever it is stored. Returns how many copies
        were deleted. It may take seconds. Raises Fault("not_found")."""
        raise NotImplementedError

    async def block_hash(self, caller: Caller, sha256: str, purge: bool, client: Client) -> tuple[Block, int]:
        """The same by the hash of its stored bytes, in hex. Raises Fault("bad_field")."""
        raise NotImplementedError

    async def unblock(self, caller: Caller, id: str, client: Client) -> None:
        """Take a picture off the blocklist. Raises Fault("not_found")."""
        raise NotImplementedError

    async def invites(self, caller: Caller) -> list[Invite]:
        """The invites that are not used and have not lapsed, the newest first. `invite.id` names one in addresses."""
        raise NotImplementedError

    async def make_invite(self, caller: Caller, plan: str, note: str, client: Client) -> NewInvite:
        """An invite, good for a week, for an account on a plan. Raises Fault("bad_field") (plan; note over 100
        characters)."""
        raise NotImplementedError

    async def revoke_invite(self, caller: Caller, id: str, client: Client) -> None:
        """Make an invite void. Raises Fault("not_found")."""
        raise NotImplementedError

    async def audit(
        self, caller: Caller, after: str | None = None, limit: int = 50
    ) -> tuple[list[AuditRow], str | None]:
        """A page of the audit log, the newest first; and `next`."""
        raise NotImplementedError
