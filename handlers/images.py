"""GET and HEAD /f/SLUG.EXT: an image's bytes."""

from __future__ import annotations

import re
from urllib.parse import quote

from tornado.iostream import StreamClosedError

from handlers.receiving import Receiving
from iuserver.errors import Fault
from iuserver.library import Opened
from iuserver.ports import Presigns
from iuserver.records import Caller, Image

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_UNSAFE_IN_QUOTES = re.compile(r"[^ !#-\[\]-~]")


class ImageHandler(Receiving):
    """Bytes that no browser will take for anything but a picture."""

    async def get(self, slug: str, ext: str) -> None:
        if self.services.presigns and self.request.method == "GET":
            image, left = await self.services.library.find(slug, ext, await self._owner())
            if await self._redirect(self.services.presigns, image, left):
                return
        opened = await self.services.library.open(slug, ext, await self._owner())
        try:
            await self._send(opened)
        except StreamClosedError:
            pass  # the client has left
        finally:
            opened.blob.close()

    head = get

    async def _owner(self) -> Caller | None:
        """Whose key was sent, if one was. A wrong one is nobody's: a public picture is shown all the same."""
        try:
            return await self.identify() if "Authorization" in self.request.headers else None
        except Fault as fault:
            if fault.code in ("missing_key", "invalid_key"):
                return None
            raise

    async def _redirect(self, store: Presigns, image: Image, left: int | None) -> bool:
        """Send whoever asks to the store itself, where anybody may read the image for long enough to get there."""
        seconds = _least(self.services.presign_seconds, left)
        if image.gated or not seconds:
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
        async for chunk in opened.blob.read(start, stop):
            self.write(chunk)
            await self.flush()

    def _describe(self, image: Image) -> None:
        for name, value in {
            "Content-Type": image.mime,
            "Content-Disposition": _disposition(image.filename),
            "X-Content-Type-Options": "nosniff",
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
        return f"public, max-age={_least(self.services.max_age, seconds_left)}"

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
