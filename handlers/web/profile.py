"""/dashboard/profile and the forms on it: the key, the plan, sessions, the password."""

from __future__ import annotations

from typing import Any

from handlers.clients import client_of
from handlers.formatting import ago_text
from handlers.http import session_cookie
from handlers.web.page import contact_url
from handlers.web.plans import plan_table
from handlers.web.signed_in import SignedIn, what_was_wrong
from iuserver.errors import Fault

PROFILE = "/dashboard/profile"


class ProfilePage(SignedIn):
    """The page, and the forms on it."""

    async def show_profile(self, problem: Fault | None = None, form: str = "") -> None:
        """Render the page; `problem` is what was wrong with the `form` that was sent."""
        told = what_was_wrong(self, problem) if problem else ""
        sessions = await self.services.sign_in.sessions(self.caller)
        self.render("profile.html", **self._values(sessions), form=form, problem=told)

    def _values(self, sessions: list[Any]) -> dict[str, Any]:
        account, now, own = self.caller.account, self.services.clock(), self.caller.session
        return {
            "account": account,
            "used": used_text(account.key_used_on, now),
            "plan": self.caller.plan.name,
            "table": plan_table(self.services.accounts.plans.values()),
            "contact": self.services.http.upgrade_contact,
            "contact_url": contact_url(self.services.http.upgrade_contact),
            "sessions": [
                (session, own is not None and session.id == own.id, ago_text(session.seen_at, now))
                for session in sessions
            ],
        }


class ProfileHandler(ProfilePage):
    """GET /dashboard/profile."""

    async def show(self) -> None:
        """Show the page."""
        await self.show_profile()


class KeyFormHandler(ProfilePage):
    """POST /dashboard/profile/key."""

    async def replace(self) -> None:
        """Make a new key and show it, this once."""
        try:
            made = await self.services.sign_in.replace_key(self.caller, self.form_field("password"), client_of(self))
        except Fault as fault:
            await self.show_profile(fault, "key")
            return
        self.render("key.html", key=made.key)


class PasswordFormHandler(ProfilePage):
    """POST /dashboard/profile/password."""

    async def change(self) -> None:
        """Set the password; every other session ends."""
        current = self.form_field("current") if self.caller.account.password_hash else None
        try:
            signed_in = await self.services.sign_in.change_password(
                self.caller, current, self.form_field("new"), client_of(self)
            )
        except Fault as fault:
            await self.show_profile(fault, "password")
            return
        session_cookie.set_token(self, signed_in.token, self.services.sign_in.cookie_seconds)
        self.go_to(PROFILE)


class SessionFormHandler(ProfilePage):
    """POST /dashboard/profile/sessions/ID."""

    async def end(self, id: str) -> None:
        """Sign another browser out."""
        await self.services.sign_in.end_session(self.caller, id)
        self.go_to(PROFILE)


class EverywhereFormHandler(ProfilePage):
    """POST /dashboard/profile/sign-out-everywhere."""

    async def end_all(self) -> None:
        """Sign all browsers out, this one too."""
        await self.services.sign_in.end_all(self.caller, client_of(self))
        session_cookie.clear(self)
        self.go_to("/login")


def used_text(day: int | None, now: float) -> str:
    """When a key was last used, which is known to the day."""
    if day is None:
        return "never used"
    days = int(now // 86400 - day // 86400)
    return "used today" if days <= 0 else "used yesterday" if days == 1 else f"used {days} days ago"
