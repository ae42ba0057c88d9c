"""The caller's own images and folders: /api/images, /api/images/SLUG, /api/folders, and deletion links."""

from __future__ import annotations

from urllib.parse import parse_qs

import orjson

from handlers import replies
from handlers.api import ApiHandler
from handlers.receiving import Receiving
from iuserver import forms
from iuserver.errors import Fault
from iuserver.records import Image


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
        if self.request.headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded"):
            return parse_qs(self.body.decode("utf-8", "replace")).get("name", [""])[0]
        try:
            body = orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise Fault("bad_body", "The body must be a JSON object with a name") from error
        return body.get("name") if isinstance(body, dict) else None


class DeleteLinkHandler(Receiving):
    """The link that an upload's answer carries: it asks before it deletes, and works once."""

    async def get(self, slug: str, token: str) -> None:
        self._show(await self.services.library.find_for_deletion(slug, token), deleted=False)

    async def post(self, slug: str, token: str) -> None:
        self._show(await self.services.library.delete_by_link(slug, token), deleted=True)

    def _show(self, image: Image, deleted: bool) -> None:
        self.set_header("Content-Security-Policy", "default-src 'none'; form-action 'self'; frame-ancestors 'none'")
        self.set_header("Cache-Control", "no-store")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("X-Robots-Tag", "noindex")
        self.render("delete.html", filename=image.filename, deleted=deleted)
