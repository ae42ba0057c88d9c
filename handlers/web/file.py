"""GET and HEAD /f/SLUG.EXT: an image's bytes, with caching, byte ranges and access checks."""

from __future__ import annotations

import re
from urllib.parse import quote

from tornado.iostream import StreamClosedError

from handlers.http.cross_origin import CrossOrigin
from handlers.web.visitor import intent_of, password_of, set_unlock_cookies, visitor_of
from iuserver.errors import Fault, no_such_image
from iuserver.records import Image
from iuserver.viewing import Opened

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_UNSAFE_IN_QUOTES = re.compile(r"[^ !#-\[\]-~]")


class FileHandler(CrossOrigin):
    """Bytes that no browser will take for anything but a picture."""

    caching = "no-store"

    async def show(self, slug: str, ext: str) -> None:
        """Send the picture, or redirect to its page."""
        image = await self.services.viewing.find(slug)
        if image.ext != ext or (image.gated and self.is_files_host()):
            raise no_such_image()
        if not image.gated and await self._redirected(image):
            return
        opened = await (self._open_gated(image) if image.gated else self.services.viewing.open(image))
        if opened is None:
            return
        try:
            await self._send(opened)
        except StreamClosedError:
            pass  # the client has left
        finally:
            opened.blob.close()

    async def _open_gated(self, image: Image) -> Opened | None:
        """Open an image for who may see it; None: the client is sent to the share page."""
        self.set_header("Cache-Control", "private, no-store")
        viewing, visitor = self.services.viewing, await visitor_of(self, image.slug, page=False)
        decision = await viewing.decide(image, visitor, intent_of(self), password_of(self))
        if decision.unlock:
            set_unlock_cookies(self, image, decision.unlock)
        match decision.answer:
            case "send" | "describe":
                return await viewing.open(image)
            case "count":
                return await viewing.open_counted(image, decision.visitor)
            case "ask":
                raise Fault("password_required", "This image has a password; send it as X-Image-Password")
            case "refuse":
                raise Fault("forbidden", "This image is shown to viewers only, not fetched ahead of them")
        self.set_header("Referrer-Policy", "no-referrer")
        self.redirect(f"../i/{image.slug}", status=303)
        return None

    async def _redirected(self, image: Image) -> bool:
        """Redirect to a presigned URL of the store, if it has any; returns whether that was done."""
        store, left = self.services.presigns, self.services.viewing.seconds_left(image)
        seconds = _least(self.services.http.presign_seconds, left)
        if store is None or self.request.method != "GET" or not seconds:
            return False
        disposition, caching = _disposition(image.filename), self._caching(left)
        url = await store.presigned(image.blob, seconds, image.mime, disposition, caching)
        self.set_header("Cache-Control", "no-store")  # the URL is good for a moment only
        self.set_header("Cross-Origin-Resource-Policy", "cross-origin")
        self.set_header("Referrer-Policy", "no-referrer")
        self.redirect(url, status=307)
        return True

    async def _send(self, opened: Opened) -> None:
        image, size = opened.image, opened.blob.size
        self._describe(image)
        part: tuple[int, int] | None = None
        if image.gated:
            self.set_header("Cache-Control", "private, no-store")
        else:
            self._allow_caching(image, opened.seconds_left)
            if self.check_etag_header():
                self.set_status(304)
                return
            part = self._wanted_part(size)
        start, stop = part or (0, size)
        if start >= stop:
            self._answer_unsatisfiable(size)
            return
        if part:
            self.set_status(206)
            self.set_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        self.set_header("Content-Length", stop - start)
        if self.request.method == "HEAD":
            return
        async for chunk in opened.read(start, stop):
            self.write(chunk)
            await self.flush()

    def _describe(self, image: Image) -> None:
        unnamed = image.gated and self.request.method == "HEAD"  # the name is a part of what a view is paid with
        for name, value in {
            "Content-Type": image.mime,
            "Content-Disposition": "inline" if unnamed else _disposition(image.filename),
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "Cross-Origin-Resource-Policy": "cross-origin",
            "X-Robots-Tag": "noindex",
            "Referrer-Policy": "no-referrer",
        }.items():
            self.set_header(name, value)

    def _allow_caching(self, image: Image, seconds_left: int | None) -> None:
        self.set_header("Cache-Control", self._caching(seconds_left))
        self.set_header("Accept-Ranges", "bytes")
        self.set_header("Etag", f'"{image.blob}"')  # a blob never changes, so its key is a strong validator

    def _caching(self, seconds_left: int | None) -> str:
        return f"public, max-age={_least(self.services.http.max_age, seconds_left)}"

    def _wanted_part(self, size: int) -> tuple[int, int] | None:
        """The one byte range that is asked for (RFC 9110, section 14), or None for the whole."""
        match = _RANGE.fullmatch(self.request.headers.get("Range", "")) if self.request.method == "GET" else None
        condition = self.request.headers.get("If-Range")
        if not match or match.group() == "bytes=-" or condition not in (None, self._headers["Etag"]):
            return None
        first, last = match.groups()
        if not first:
            return max(0, size - int(last)), size
        start, stop = int(first), int(last) + 1 if last else size
        return None if last and int(last) < start else (start, min(stop, size))

    def _answer_unsatisfiable(self, size: int) -> None:
        self.set_status(416)
        self.set_header("Cache-Control", "no-store")
        self.set_header("Content-Range", f"bytes */{size}")
        self.set_header("Content-Length", 0)


def _least(seconds: int, seconds_left: int | None) -> int:
    return seconds if seconds_left is None else min(seconds, seconds_left)


def _disposition(filename: str) -> str:
    """RFC 6266: a name for old clients, and the true one in UTF-8."""
    plain = _UNSAFE_IN_QUOTES.sub("_", filename)
    return f"inline; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"
