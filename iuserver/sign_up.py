"""Signing up: new accounts by invite, by anybody, or not at all, as the setting says."""

from __future__ import annotations

from typing import Literal

from iuserver.records import Client, Invite
from iuserver.sign_in import SignedIn

Mode = Literal["invite", "open", "closed"]


class SignUp:
    """The use case of whoever wants an account."""

    mode: Mode

    async def check(self, token: str | None) -> Invite | None:
        """Whether an account may be made: with an invite's token, or None without one. Nothing is used up.

        Raises Fault: forbidden (an invite is needed, or nobody may), not_found (no such invite, used or lapsed).
        """
        raise NotImplementedError

    async def sign_up(self, email: str, password: str, token: str | None, client: Client) -> SignedIn:
        """Make an account and sign in. An invite is used up by it alone.

        Its key is known to nobody until it is replaced (`SignIn.replace_key`).

        Raises Fault: forbidden, not_found, bad_field (address or password), name_taken, rate_limited (20 a minute and
        network), overloaded, read_only.
        """
        raise NotImplementedError
