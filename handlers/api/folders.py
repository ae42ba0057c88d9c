"""/api/folders: list the caller's folders, and create one."""

from __future__ import annotations

import orjson

from handlers.api import replies
from handlers.api.handler import ApiHandler
from iuserver.errors import Fault


class FoldersHandler(ApiHandler):
    """The caller's folders."""

    async def list(self) -> None:
        """The folders, with how many images each has."""
        folders = await self.services.library.folders(self.caller)
        self.send_json({"folders": [replies.folder(folder, count) for folder, count in folders]})

    async def create(self) -> None:
        """Make a folder."""
        folder = await self.services.library.create_folder(self.caller, self._name())
        self.send_json({"ok": True, **replies.folder(folder, 0)})

    def _name(self) -> object:
        """The name, from a JSON object or a form."""
        if self.request.headers.get("Content-Type", "").lower().startswith("application/x-www-form-urlencoded"):
            return self.form_field("name")
        try:
            body = orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise Fault("bad_body", "The body must be a JSON object with a name") from error
        return body.get("name") if isinstance(body, dict) else None
