"""Signing in and out: passwords, one-time links, sessions, and what only the holder of a password may change."""

from __future__ import annotations

from dataclasses import dataclass

from iuserver.accounts import NewKey
from iuserver.records import Account, Caller, Client, Session


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session, and its token for the cookie: the one time that it can be had."""

    token: str
    session: Session
    account: Account


class SignIn:
    """The use case of whoever signs in."""

    @property
    def cookie_seconds(self) -> int:
        """How long the cookie of a session may live: as long as a session at most."""
        raise NotImplementedError

    async def by_password(self, email: str, password: str, client: Client) -> SignedIn:
        """Sign in. Takes the same time for an unknown address, a wrong and a right password.

        Raises Fault: wrong_password (alike for unknown, disabled and password-less accounts), rate_limited (5 wrong a
        minute by address and network, 20 by network; has `retry_after`), overloaded, read_only.
        """
        raise NotImplementedError

    async def link_account(self, token: str) -> Account:
        """Whom a one-time link would sign in; it is not used up. Raises Fault("not_found")."""
        raise NotImplementedError

    async def by_link(self, token: str, client: Client) -> SignedIn:
        """Sign in by a one-time link, which is used up. Raises Fault: not_found, read_only."""
        raise NotImplementedError

    async def caller(self, token: str) -> Caller | None:
        """Who is signed in by this token (`via` "session", with `session`); None: nobody (any more).

        One read, no write: that it was seen is noted in memory and written later.
        """
        raise NotImplementedError

    async def sign_out(self, token: str) -> None:
        """End the session of a token; one that there is not is no error."""
        raise NotImplementedError

    async def sessions(self, caller: Caller) -> list[Session]:
        """The sessions of a caller's account, the last seen first. `session.id` names one in addresses."""
        raise NotImplementedError

    async def end_session(self, caller: Caller, id: str) -> None:
        """End one of a caller's sessions, its own included. Raises Fault("not_found")."""
        raise NotImplementedError

    async def end_all(self, caller: Caller, client: Client) -> None:
        """Sign out everywhere, here too; one-time links are void as well."""
        raise NotImplementedError

    async def change_password(self, caller: Caller, current: str | None, new: str, client: Client) -> SignedIn:
        """Set a password; every session ends, and a new one begins: its token takes the place of the cookie.

        `current` may be None only while the account has no password. Raises Fault: wrong_password, bad_field (`new` has
        not 10 to 256 characters), rate_limited, overloaded.
        """
        raise NotImplementedError

    async def replace_key(self, caller: Caller, password: str, client: Client) -> NewKey:
        """Replace a caller's API key; the old one is dead when this returns.

        Raises Fault: wrong_password, password_required (the account has none yet), rate_limited, overloaded.
        """
        raise NotImplementedError
