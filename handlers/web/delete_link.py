"""/d/SLUG/TOKEN: confirmation page and form of the link that deletes an image without a key."""

from __future__ import annotations

from handlers.web.page import FormPage
from iuserver.records import Image


class DeleteLinkHandler(FormPage):
    """The link that an upload's answer carries: it asks before it deletes, and works once."""

    async def show(self, slug: str, token: str) -> None:
        """Ask."""
        self._show(await self.services.library.find_for_deletion(slug, token), deleted=False)

    async def delete_image(self, slug: str, token: str) -> None:
        """Delete, and say so."""
        self._show(await self.services.library.delete_by_link(slug, token), deleted=True)

    def _show(self, image: Image, deleted: bool) -> None:
        self.render("delete.html", filename=image.filename, deleted=deleted)
