"""GET and HEAD /f/SLUG.EXT: an image's bytes, with caching, byte ranges and access checks."""

from __future__ import annotations

import re
from urllib.parse import quote

from tornado.iostream import StreamClosedError

from handlers.web.picture import PictureHandler, least
from iuserver.errors import no_such_image
from iuserver.records import Image
from iuserver.viewing import Opened

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
NGINX_FOLDER = "/iuserver-blobs"
"""The internal location of conf/nginx.conf where nginx finds the blobs."""
_UNSAFE_IN_QUOTES = re.compile(r"[^ !#-\[\]-~]")


class FileHandler(PictureHandler):
    """The image's bytes."""

    async def show(self, slug: str, ext: str) -> None:
        """Send the picture, or redirect to its page."""
        image = await self.find(slug)
        if image.ext != ext:
            raise no_such_image()
        if not image.gated and (await self._redirected(image) or self._left_to_nginx(image)):
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
        decision = await self.decide(image, "file")
        if decision is None:
            return None
        if decision.answer == "count":
            return await self.services.viewing.open_counted(image, decision.visitor)
        return await self.services.viewing.open(image)

    async def _redirected(self, image: Image) -> bool:
        """Redirect to a presigned URL of the store, if it has any; returns whether that was done."""
        store, left = self.services.presigns, self.services.viewing.seconds_left(image)
        seconds = least(self.services.http.presign_seconds, left)
        if store is None or self.request.method != "GET" or not seconds:
            return False
        disposition, caching = _disposition(image.filename), self.public_caching(left)
        url = await store.presigned(image.blob, seconds, image.mime, disposition, caching)
        self.set_header("Cache-Control", "no-store")  # the URL is good for a moment only
        self.set_header("Cross-Origin-Resource-Policy", "cross-origin")
        self.set_header("Referrer-Policy", "no-referrer")
        self.redirect(url, status=307)
        return True

    def _left_to_nginx(self, image: Image) -> bool:
        """Let the proxy send the file itself, if it is nginx and may; returns whether that was done."""
        files = self.services.files
        if files is None or not self._trusts(self._peer()):
            return False
        self.describe(image.mime, _disposition(image.filename))
        self.allow_caching(image.blob, self.services.viewing.seconds_left(image))
        if self.check_etag_header():  # nginx would not know
            self.set_status(304)
        else:
            self.set_header("X-Accel-Redirect", f"{NGINX_FOLDER}/{files.place(image.blob)}")
        return True

    async def _send(self, opened: Opened) -> None:
        image, size = opened.image, opened.blob.size
        unnamed = image.gated and self.request.method == "HEAD"  # the name is a part of what a view is paid with
        self.describe(image.mime, "inline" if unnamed else _disposition(image.filename))
        part: tuple[int, int] | None = None
        if image.gated:
            self.set_header("Cache-Control", "private, no-store")
        else:
            self.allow_caching(image.blob, opened.seconds_left)  # a blob never changes: its key is a strong validator
            self.set_header("Accept-Ranges", "bytes")
            if self._trusts(self._peer()):
                self.set_header("X-Accel-Expires", 1)  # so long a cache of nginx keeps it, which tells nobody
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


def _disposition(filename: str) -> str:
    """RFC 6266: a name for old clients, and the true one in UTF-8."""
    plain = _UNSAFE_IN_QUOTES.sub("_", filename)
    return f"inline; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"
