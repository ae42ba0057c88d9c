"""Signing up: new accounts by invite, by anybody, or not at all, as the setting says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from iuserver import forms, policy, signing
from iuserver.accounts import DEFAULT_PLAN
from iuserver.admission.rate import TokenBuckets
from iuserver.errors import Fault
from iuserver.ports import Invites
from iuserver.records import Actor, Client, Invite
from iuserver.sign_in import SignedIn, SignIn

Mode = Literal["invite", "open", "closed"]


@dataclass(frozen=True, slots=True)
class SignUp:
    """The use case of whoever wants an account, and what it works with.

    `bucket` limits tries by network, `clock` gives unix seconds.
    """

    mode: Mode
    invites: Invites
    sign_in: SignIn
    bucket: TokenBuckets
    clock: Callable[[], float]

    async def check(self, token: str | None) -> Invite | None:
        """Whether an account may be made: with an invite's token, or None without one. Nothing is used up.

        Raises Fault: forbidden (an invite is needed, or nobody may), not_found (no such invite, used or lapsed).
        """
        if self.mode == "closed":
            raise Fault("forbidden", "Nobody can sign up here")
        if token is None:
            if self.mode == "invite":
                raise Fault("forbidden", "An invitation is needed to sign up here")
            return None
        invite = await self.invites.invite(signing.token_hash(token)) if len(token) == signing.TOKEN_LENGTH else None
        if invite is None or self.clock() >= invite.expires_at:
            raise _no_invite()
        return invite

    async def sign_up(self, email: str, password: str, token: str | None, client: Client) -> SignedIn:
        """Make an account and sign in. An invite is used up by it alone.

        Its key is known to nobody until it is replaced (`SignIn.replace_key`).

        Raises Fault: forbidden, not_found, bad_field (address or password), name_taken, rate_limited (20 a minute and
        network), overloaded, read_only.
        """
        policy.check_rate(self.bucket.take(client.network))
        invite = await self.check(token)
        email = forms.email(email)
        encoded = await self.sign_in.hash(forms.account_password(password), client.network)
        if invite and not await self.invites.take_invite(invite.hash):
            raise _no_invite()
        try:
            made = await self.sign_in.accounts.add(
                email,
                invite.plan if invite else DEFAULT_PLAN,
                password_hash=encoded,
                by=Actor(email, client.masked),
                action="signed_up",
            )
        except Fault:
            if invite:
                await self.invites.add_invite(invite)  # it made no account
            raise
        return await self.sign_in.begin(made.account, client, "signed_in")


def _no_invite() -> Fault:
    return Fault("not_found", "This invitation has been used, or its time is over")
