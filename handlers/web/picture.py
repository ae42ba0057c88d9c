"""What an image's bytes and its thumbnail have in common: who may see them, how they are described and cached."""

from __future__ import annotations

from handlers.http.cross_origin import CrossOrigin
from handlers.web.visitor import Address, intent_of, password_of, set_unlock_cookies, visitor_of
from iuserver.errors import Fault
from iuserver.records import Image
from iuserver.viewing import Decision


class PictureHandler(CrossOrigin):
    """Bytes that no browser will take for anything but a picture."""

    caching = "no-store"

    async def decide(self, image: Image, address: Address) -> Decision | None:
        """What becomes of a request for a gated image: to send, describe or count it. None: the client is sent to the
        share page. Raises Fault."""
        self.set_header("Cache-Control", "private, no-store")
        visitor = await visitor_of(self, image.slug, address)
        decision = await self.services.viewing.decide(image, visitor, intent_of(self), password_of(self))
        if decision.unlock:
            set_unlock_cookies(self, image, decision.unlock)
        match decision.answer:
            case "ask":
                raise Fault("password_required", "This image has a password; send it as X-Image-Password")
            case "refuse":
                raise Fault("forbidden", "This image is shown to viewers only, not fetched ahead of them")
            case "page":
                self.set_header("Referrer-Policy", "no-referrer")
                self.redirect(f"../i/{image.slug}", status=303)
                return None
        return decision

    def describe(self, mime: str, disposition: str) -> None:
        """Set the headers of a picture, whatever it is cached like."""
        for name, value in {
            "Content-Type": mime,
            "Content-Disposition": disposition,
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "Cross-Origin-Resource-Policy": "cross-origin",
            "X-Robots-Tag": "noindex",
            "Referrer-Policy": "no-referrer",
        }.items():
            self.set_header(name, value)

    def allow_caching(self, etag: str, seconds_left: int | None) -> None:
        """Let anybody keep what has this strong validator, for no longer than the image is there."""
        self.set_header("Cache-Control", self.public_caching(seconds_left))
        self.set_header("Etag", f'"{etag}"')

    def public_caching(self, seconds_left: int | None) -> str:
        """The Cache-Control of an image that everybody may see."""
        return f"public, max-age={least(self.services.http.max_age, seconds_left)}"


def least(seconds: int, seconds_left: int | None) -> int:
    """The seconds for which something holds of an image that has so many left (None: any number)."""
    return seconds if seconds_left is None else min(seconds, seconds_left)
