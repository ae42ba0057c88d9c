"""/api/images, /api/images/SLUG and /api/images/bulk: list, show, change and delete the caller's images."""

from __future__ import annotations

from handlers.api import replies
from handlers.api.handler import ApiHandler
from iuserver import forms
from iuserver.records import Image


class ImagesHandler(ApiHandler):
    """The caller's images, page by page."""

    async def list(self) -> None:
        """A page of the images."""
        query = forms.listing({name: self.get_query_argument(name, "") for name in forms.LIST_FIELDS})
        page = await self.services.library.images(self.caller, query)
        self.send_json(replies.page(page, query, self.base_url(), self.services.library.delete_token))


class ImageHandler(ApiHandler):
    """One of the caller's images."""

    async def show(self, slug: str) -> None:
        """All about the image."""
        self._send(await self.services.library.get(slug, self.caller))

    async def change(self, slug: str) -> None:
        """Change the image's name, folder, expiry or password."""
        form = forms.changes(self.json_object())
        self._send(await self.services.editing.change(slug, self.caller, form))

    async def remove(self, slug: str) -> None:
        """Delete the image."""
        image = await self.services.library.delete(slug, self.caller)
        self.send_json({"ok": True, "slug": image.slug})

    def _send(self, image: Image) -> None:
        self.send_json(replies.detailed(image, self.base_url(), self.services.library.delete_token(image)))


class BulkHandler(ApiHandler):
    """Many of the caller's images at once."""

    largest = 128 * 1024

    async def do(self) -> None:
        """Delete or move them, and tell what became of each."""
        form = forms.bulk(self.json_object())
        outcomes = await self.services.editing.bulk(self.caller, form)
        self.send_json(replies.bulk(form.action, outcomes))
