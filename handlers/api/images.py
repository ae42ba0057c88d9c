"""The caller's own images and folders: /api/images, /api/images/SLUG and /api/folders."""

from __future__ import annotations

import orjson

from handlers.api import replies
from handlers.api.handler import ApiHandler
from iuserver import forms
from iuserver.errors import Fault


class ImagesHandler(ApiHandler):
    """The caller's images, page by page."""

    async def get(self) -> None:
        query = forms.listing({name: self.get_query_argument(name, "") for name in ("folder", "limit", "offset")})
        images, total = await self.services.library.images(self.caller, query)
        self.send_json(replies.page(images, total, query, self.base_url(), self.services.library.delete_token))


class ImageRecordHandler(ApiHandler):
    """One of the caller's images."""

    async def get(self, slug: str) -> None:
        image = await self.services.library.get(slug, self.caller)
        self.send_json(replies.detailed(image, self.base_url(), self.services.library.delete_token(image)))

    async def delete(self, slug: str) -> None:
        image = await self.services.library.delete(slug, self.caller)
        self.send_json({"ok": True, "slug": image.slug})


class FoldersHandler(ApiHandler):
    """The caller's folders."""

    async def get(self) -> None:
        folders = await self.services.library.folders(self.caller)
        self.send_json({"folders": [replies.folder(folder, count) for folder, count in folders]})

    async def post(self) -> None:
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
