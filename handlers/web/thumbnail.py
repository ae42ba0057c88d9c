"""GET and HEAD /t/SLUG.webp: an image's thumbnail. To look at it never counts as a view."""

from __future__ import annotations

import hashlib

from handlers.web.picture import PictureHandler
from iuserver.errors import Fault
from iuserver.records import Image

MIME = "image/webp"


class ThumbnailHandler(PictureHandler):
    """The thumbnail, for whoever may see the image; of one that is shown for a view, for its owner alone."""

    async def show(self, slug: str) -> None:
        """Send the thumbnail, which is made where there is none yet."""
        image = await self.services.viewing.find(slug)
        if image.gated and not await self._may_see(image):
            return
        thumbnail = await self.services.thumbnails.of(image)
        self.describe(MIME, "inline")
        if not image.gated:
            etag = hashlib.sha256(thumbnail).hexdigest()[:32]  # not the blob's key: one made anew may be another
            self.allow_caching(etag, self.services.viewing.seconds_left(image))
            if self.check_etag_header():
                self.set_status(304)
                return
        self.set_header("Content-Length", len(thumbnail))
        if self.request.method != "HEAD":
            self.write(thumbnail)

    async def _may_see(self, image: Image) -> bool:
        """Whether a visitor may see a gated image's thumbnail; false where they are sent to its page. Raises Fault."""
        decision = await self.decide(image, "thumbnail")
        if decision and decision.answer != "send":
            raise Fault("forbidden", "This image is shown for a view, so its thumbnail is its owner's alone")
        return decision is not None
