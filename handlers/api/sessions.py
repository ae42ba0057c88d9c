"""/api/sessions, /api/sessions/ID and /api/key: what a signed-in browser may do by its cookie, and no key."""

from __future__ import annotations

import orjson

from handlers import callers
from handlers.api import replies
from handlers.api.handler import ApiHandler
from handlers.callers import Asker
from handlers.clients import client_of
from iuserver.errors import Fault


class SessionApiHandler(ApiHandler):
    """A handler for callers with a session."""

    async def asker(self) -> Asker:
        return Asker(await callers.signed_in(self))


class SessionsHandler(SessionApiHandler):
    """The browsers that are signed in to the caller's account."""

    async def list(self) -> None:
        """The sessions, the last seen first."""
        sessions = await self.services.sign_in.sessions(self.caller)
        self.send_json({"sessions": [replies.session(session, self.caller.session) for session in sessions]})


class SessionHandler(SessionApiHandler):
    """One of them."""

    async def end(self, id: str) -> None:
        """Sign it out."""
        await self.services.sign_in.end_session(self.caller, id)
        self.send_json({"ok": True, "id": id})


class KeyHandler(SessionApiHandler):
    """The caller's API key."""

    async def replace(self) -> None:
        """Make a new one, which is told this once."""
        made = await self.services.sign_in.replace_key(self.caller, self._password(), client_of(self))
        self.send_json({"ok": True, "key": made.key})

    def _password(self) -> str:
        try:
            body = orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise Fault("bad_body", "The body must be a JSON object with the password") from error
        password = body.get("password") if isinstance(body, dict) else None
        if not isinstance(password, str):
            raise Fault("bad_field", "password must be a text")
        return password
