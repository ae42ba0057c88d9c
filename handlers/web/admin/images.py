"""/admin/images: everybody's newest images, which can be blocked."""

from __future__ import annotations

from handlers.clients import client_of
from handlers.web.admin.tab import Tab


class AdminImagesHandler(Tab):
    """/admin/images."""

    async def list(self) -> None:
        """Everybody's newest images: what is known of them, and nothing to look at where they are gated."""
        images, after = await self.services.admin.newest_images(self.caller, self.cursor())
        self.render("admin_images.html", images=images, after=after)

    async def block(self, slug: str) -> None:
        """Put an image on the blocklist, and delete it wherever it is stored if that is asked for."""
        purge = self.form_field("purge") == "1"
        await self.services.admin.block_image(self.caller, slug, purge, client_of(self))
        self.go_to("/admin/blocklist")
