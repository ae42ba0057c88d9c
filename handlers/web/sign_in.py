"""/login, /login/TOKEN, /logout, /signup and /signup/INVITE: how one gets in and out."""

from __future__ import annotations

import re

from handlers import callers
from handlers.clients import client_of
from handlers.http import session_cookie
from handlers.http.base import Handler
from handlers.web.signed_in import Front, what_was_wrong
from iuserver.errors import Fault
from iuserver.sign_in import SignedIn

DASHBOARD = "/dashboard"
_OWN_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]{0,500}")
"""A path on this host, as browsers read it: what begins with two slashes is another host's (WHATWG URL, 4.4)."""


def own_path(next_path: str) -> str:
    """Where to go after signing in: the path that was asked for if it is one of ours, else the dashboard."""
    return next_path if _OWN_PATH.fullmatch(next_path) and ".." not in next_path else DASHBOARD


async def begin_session(handler: Handler, signed_in: SignedIn) -> None:
    """Give the browser a new session, and end the one that it came with: nobody can have planted it."""
    earlier = session_cookie.token_in(handler)
    if earlier:
        await handler.services.sign_in.sign_out(earlier)
    session_cookie.set_token(handler, signed_in.token, handler.services.sign_in.cookie_seconds)


class LoginHandler(Front):
    """The sign-in form."""

    def show(self) -> None:
        """Ask."""
        self.render("login.html", problem="", **self._values("", self.get_query_argument("next", "")))

    async def sign_in(self) -> None:
        """Take address and password."""
        email, password = self.form_field("email"), self.form_field("password")
        next_path = self.form_field("next")
        try:
            signed_in = await self.services.sign_in.by_password(email, password, client_of(self))
        except Fault as fault:
            problem = what_was_wrong(self, fault)
            self.render("login.html", problem=problem, **self._values(email, next_path))
            return
        await begin_session(self, signed_in)
        self.go_to(own_path(next_path))

    def _values(self, email: str, next_path: str) -> dict[str, object]:
        is_open = self.services.sign_up.mode == "open"
        return {"email": email, "next_path": next_path[:500], "is_open": is_open}


class LinkHandler(Front):
    """A one-time link. To look at it signs nobody in: scanners of mail look at links, too."""

    async def show(self, token: str) -> None:
        """Ask for the click that signs in."""
        await self.services.sign_in.link_account(token)
        self.render("one_time.html")

    async def sign_in(self, token: str) -> None:
        """Use the link up."""
        signed_in = await self.services.sign_in.by_link(token, client_of(self))
        await begin_session(self, signed_in)
        self.go_to(DASHBOARD if signed_in.account.password_hash else "/dashboard/profile#password")


class LogoutHandler(Front):
    """The end of a session."""

    async def admit(self) -> None:
        """Raises Fault("forbidden") for a form that a page of another site sends, or may have sent."""
        callers.check_own_page(self, by_cookie=session_cookie.token_in(self) is not None)

    async def sign_out(self) -> None:
        """End the session of this browser; without one there is nothing to do."""
        if token := session_cookie.token_in(self):
            await self.services.sign_in.sign_out(token)
        session_cookie.clear(self)
        self.go_to("/")


class SignUpHandler(Front):
    """The form for a new account."""

    async def show(self, invite: str | None = None) -> None:
        """Ask, where an account may be made."""
        await self.services.sign_up.check(invite)
        self.render("signup.html", email="", problem="")

    async def sign_up(self, invite: str | None = None) -> None:
        """Make the account, and sign in."""
        email, password = self.form_field("email"), self.form_field("password")
        try:
            signed_in = await self.services.sign_up.sign_up(email, password, invite, client_of(self))
        except Fault as fault:
            self.render("signup.html", problem=what_was_wrong(self, fault), email=email)
            return
        await begin_session(self, signed_in)
        self.go_to(DASHBOARD)
