"""/api/folders and /api/folders/SLUG: list, create, rename and delete the caller's folders."""

from __future__ import annotations

import orjson

from handlers.api import replies
from handlers.api.handler import ApiHandler
from iuserver.errors import Fault


class _Named(ApiHandler):
    """A handler that takes a folder's name."""

    def _name(self) -> object:
        """The name, from a JSON object or a form."""
        if self.request.headers.get("Content-Type", "").lower().startswith("application/x-www-form-urlencoded"):
            return self.form_field("name")
        try:
            body = orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise Fault("bad_body", "The body must be a JSON object with a name") from error
        return body.get("name") if isinstance(body, dict) else None


class FoldersHandler(_Named):
    """The caller's folders."""

    async def list(self) -> None:
        """The folders, with how many images each has."""
        folders = await self.services.library.folders(self.caller)
        self.send_json({"folders": [replies.folder(folder, count) for folder, count in folders]})

    async def create(self) -> None:
        """Make a folder."""
        folder = await self.services.library.create_folder(self.caller, self._name())
        self.send_json({"ok": True, **replies.folder(folder, 0)})


class FolderHandler(_Named):
    """One of the caller's folders."""

    async def rename(self, slug: str) -> None:
        """Give the folder another name."""
        folder, count = await self.services.library.rename_folder(self.caller, slug, self._name())
        self.send_json({"ok": True, **replies.folder(folder, count)})

    async def remove(self, slug: str) -> None:
        """Delete the folder; its images are in the root then."""
        await self.services.library.remove_folder(self.caller, slug)
        self.send_json({"ok": True, "slug": slug})
