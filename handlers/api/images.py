"""/api/images and /api/images/SLUG: list, show and delete the caller's images."""

from __future__ import annotations

from handlers.api import replies
from handlers.api.handler import ApiHandler
from iuserver import forms


class ImagesHandler(ApiHandler):
    """The caller's images, page by page."""

    async def list(self) -> None:
        """A page of the images, the newest first."""
        query = forms.listing({name: self.get_query_argument(name, "") for name in ("folder", "limit", "offset")})
        images, total = await self.services.library.images(self.caller, query)
        self.send_json(replies.page(images, total, query, self.links(), self.services.library.delete_token))


class ImageHandler(ApiHandler):
    """One of the caller's images."""

    async def show(self, slug: str) -> None:
        """All about the image."""
        image = await self.services.library.get(slug, self.caller)
        self.send_json(replies.detailed(image, self.links(), self.services.library.delete_token(image)))

    async def remove(self, slug: str) -> None:
        """Delete the image."""
        image = await self.services.library.delete(slug, self.caller)
        self.send_json({"ok": True, "slug": image.slug})
