"""Signing in and out: passwords, one-time links, sessions, and what only the holder of a password may change."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from iuserver import forms, policy, signing
from iuserver.accounts import Accounts, NewKey
from iuserver.admission.attempts import AttemptLimiter
from iuserver.audit_log import AuditLog
from iuserver.errors import Fault
from iuserver.last_used import LastUsed
from iuserver.passwords import NOBODYS
from iuserver.ports import WholeCatalog
from iuserver.records import Account, Actor, AuditAction, Caller, Client, Session

MAX_SESSIONS = 100
"""Of an account; of more, those that were seen last."""
MAX_BROWSER = 60
"""Characters of a browser's name that are kept."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session, and its token for the cookie: the one time that it can be had."""

    token: str
    session: Session
    account: Account


@dataclass(frozen=True, slots=True)
class SignIn:
    """The use case of whoever signs in, and what it works with.

    `hash` hashes a password of a network's client off the loop, `verify` compares one with an encoded hash; `attempts`
    limits wrong passwords, `clock` gives unix seconds.
    """

    catalog: WholeCatalog
    accounts: Accounts
    hash: Callable[[str, str], Awaitable[str]]
    verify: Callable[[str, str, str], Awaitable[bool]]
    attempts: AttemptLimiter
    audit: AuditLog
    last_used: LastUsed
    session_days: int
    clock: Callable[[], float]

    @property
    def cookie_seconds(self) -> int:
        """How long the cookie of a session may live: as long as a session at most."""
        return policy.SESSION_LIVES * self.session_days * policy.DAY

    async def by_password(self, email: str, password: str, client: Client) -> SignedIn:
        """Sign in. Takes the same time for an unknown address, a wrong and a right password.

        Raises Fault: wrong_password (alike for unknown, disabled and password-less accounts), rate_limited (5 wrong a
        minute by address and network, 20 by network; has `retry_after`), overloaded, read_only.
        """
        account = await self.catalog.account_by_email(email) if forms.is_email(email) else None
        await self._check(email, account if account and not account.disabled else None, password, client)
        assert account
        return await self.begin(account, client, "signed_in")

    async def link_account(self, token: str) -> Account:
        """Whom a one-time link would sign in; it is not used up. Raises Fault("not_found")."""
        found = await self.catalog.link(signing.token_hash(token)) if _may_be_token(token) else None
        if found is None or not policy.is_good_link(*found, self.clock()):
            raise Fault("not_found", "This link has been used, or its time is over")
        return found[1]

    async def by_link(self, token: str, client: Client) -> SignedIn:
        """Sign in by a one-time link, which is used up. Raises Fault: not_found, read_only."""
        account = await self.link_account(token)
        if not await self.catalog.take_link(signing.token_hash(token)):
            raise Fault("not_found", "This link has been used")
        return await self.begin(account, client, "signed_in_by_link")

    async def begin(self, account: Account, client: Client, action: AuditAction) -> SignedIn:
        """Begin a session for an account whose holder has proved to be it, and note how."""
        token, now = signing.new_token(), int(self.clock())
        browser = client.browser[:MAX_BROWSER]
        session = Session(signing.token_hash(token), account.id, account.epoch, browser, client.masked, now, now)
        added = self.catalog.add_session(session, MAX_SESSIONS)
        await asyncio.gather(added, self.audit.note(_actor(account, client), action, account.email))
        return SignedIn(token, session, account)

    async def caller(self, token: str) -> Caller | None:
        """Who is signed in by this token (`via` "session", with `session`); None: nobody (any more).

        One read, no write: that it was seen is noted in memory and written later.
        """
        found = await self.catalog.session(signing.token_hash(token)) if _may_be_token(token) else None
        if found is None or not policy.is_signed_in(*found, self.clock(), self.session_days):
            return None
        session, account = found
        self.last_used.session_seen(session)
        return Caller(account, self.accounts.plans[account.plan], "session", session)

    async def sign_out(self, token: str) -> None:
        """End the session of a token; one that there is not is no error."""
        if _may_be_token(token):
            await self.catalog.end_session(signing.token_hash(token))

    async def sessions(self, caller: Caller) -> list[Session]:
        """The sessions of a caller's account, the last seen first. `session.id` names one in addresses."""
        now, account = self.clock(), caller.account
        found = await self.catalog.sessions_of(account.id)
        return [session for session in found if policy.is_signed_in(session, account, now, self.session_days)]

    async def end_session(self, caller: Caller, id: str) -> None:
        """End one of a caller's sessions, its own included. Raises Fault("not_found")."""
        for session in await self.sessions(caller):
            if session.id == id:
                return await self.catalog.end_session(session.hash)
        raise Fault("not_found", "There is no such session")

    async def end_all(self, caller: Caller, client: Client) -> None:
        """Sign out everywhere, here too; one-time links are void as well."""
        await self.catalog.next_epoch(caller.account.id)
        await self.catalog.end_sessions(caller.account.id)
        await self.audit.note(_actor(caller.account, client), "signed_out_everywhere", caller.account.email)

    async def change_password(self, caller: Caller, current: str | None, new: str, client: Client) -> SignedIn:
        """Set a password; every session ends, and a new one begins: its token takes the place of the cookie.

        `current` may be None only while the account has no password. Raises Fault: wrong_password, bad_field (`new` has
        not 10 to 256 characters), rate_limited, overloaded.
        """
        new, account = forms.account_password(new), caller.account
        if account.password_hash is not None:
            await self._check(account.email, account, current or "", client)
        encoded = await self.hash(new, client.network)
        changed = await self.accounts.set_password(account, encoded, _actor(account, client))
        return await self.begin(changed, client, "signed_in")

    async def replace_key(self, caller: Caller, password: str, client: Client) -> NewKey:
        """Replace a caller's API key; the old one is dead when this returns.

        Raises Fault: wrong_password, password_required (the account has none yet), rate_limited, overloaded.
        """
        account = caller.account
        if account.password_hash is None:
            raise Fault("password_required", "Set a password first")
        await self._check(account.email, account, password, client)
        return await self.accounts.rotate_key(account.email, _actor(account, client))

    async def _check(self, email: str, account: Account | None, password: str, client: Client) -> None:
        """Raises Fault: wrong_password (None: nobody's is right), rate_limited, overloaded."""
        member = email.lower()[: forms.MAX_EMAIL]
        take_back = self.attempts.begin(client.network, member)
        try:
            right = await self._is_password(account, password, client.network)
        except Fault:  # it has not been verified
            take_back()
            raise
        if not right:
            await self._note_wrong(email, member, client)
            raise Fault("wrong_password", "The e-mail address or the password is wrong")
        take_back()

    async def _is_password(self, account: Account | None, password: str, network: str) -> bool:
        """Whether this is the account's password; the work is the same where there is none to compare with."""
        encoded = account.password_hash if account else None
        usable = encoded is not None and forms.may_be_password(password)
        return await self.verify(encoded if usable and encoded else NOBODYS, password if usable else "", network)

    async def _note_wrong(self, email: str, member: str, client: Client) -> None:
        """Note that somebody has run out of guesses, alike for accounts that there are and others: both take time."""
        if self.attempts.is_used_up(client.network, member) and forms.is_email(email):
            await self.audit.note(Actor("-", client.masked), "wrong_passwords", email)


def _may_be_token(token: str) -> bool:
    return len(token) == signing.TOKEN_LENGTH


def _actor(account: Account, client: Client) -> Actor:
    return Actor(account.email, client.masked)
