"""The use case of thumbnails: made on first demand, kept beside the image's bytes, and made again where they are lost.

Whether a visitor may see one is decided before, as for the image. What cannot be decoded has a placeholder, which is
kept in its place, so that a hostile picture costs one worker and no more. It says nothing about the image itself.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import os
from collections.abc import AsyncIterator

from iuserver import policy
from iuserver.admission.fairness import FairSemaphore
from iuserver.errors import Fault, Tampered
from iuserver.imaging.answers import UNDECODABLE
from iuserver.imaging.pool import Pool
from iuserver.imaging.wire import SHARED_BUFFER_BYTES
from iuserver.ports import BlobStore, Catalog, thumbnail_key
from iuserver.records import Image
from iuserver.spool import Spool, fetch, storage

log = logging.getLogger("iuserver.imaging")

WAITING = 256
"""So many thumbnails may wait to be made."""
WAIT_SECONDS = 30.0
"""For each of its turns a thumbnail waits no longer."""
LARGE = 64 * 1024 * 1024
"""From so many bytes on that a decoder is expected to take, there is one of them at a time."""
BYTES_A_PIXEL = {"image/jpeg": 3, "image/webp": 2, "image/png": 4, "image/gif": 6, "image/avif": 16}
"""What decoders take at most: for a progressive JPEG, an interlaced PNG, the planes of an AVIF and copies of them."""
PLACEHOLDER = base64.b64decode(
    "UklGRhYCAABXRUJQVlA4IAoCAACwIQCdASpAAfAAPrVaqk+nJSQiINSZIOAWiWlu4XPhxlAgF/kNM+GXyCpzb+yk5tdwHqXyCpza7gPUvkFTm13A"
    "epfIKnNruA9S3QTn/I5zYDrwuLb1/B6US+QVObN+gvV+oaMcstYJcioTzsT7Nb5BU5s7z0jrpmKyGQRPQS0WHgNVw0z239ytIrs47jSx7Op7792Z"
    "DZcCJfIKnM1HNAxAV07ZKXMcWMLo3fGc6rvnwCDRZDiaKDyHd6uTFQ11U4lJza7ePIxMXoaEkw4xAIdmTBqnEpObXbu/jzWOZwH0Gc0xV/MqybBK"
    "4jOwMRO4D1L5BatEwSfRXDTPhl8gqc2u4D1L5BU5tdwHqXyCpza7gPUvkFTgAAD+/odN3nr4prnnAjrhABIBpZCGuHnZyUho8cwqFYKLWYy/MLzT"
    "08w7VFlEJzssAlOJSAVIItQVtz73smFTEfrAewzZx+2m8VSx7gsz99Np3bQqwDuLfPNRk7z9kHTWO4JIiUmI2gJHPchLnSyAUQ8dPxiU/RSjyr4E"
    "rDbHI+idXpvR2DvsXI4FTVNzlBm1xwGFUGeeYQ58KZOFV/YwlHnc5pOGEtkece0f5f9j/pBYEcJlk7irYIfrqNslmuVr8L2Ob/Ofayyd9f8emHZb"
    "QiWIOs5P4Kc0HsISmcm658W+XI3boLns1V1VYklFgAAAAAAAAAA="
)
"""A grey WebP of 320 x 240 with the outline of a picture."""


class Thumbnails:
    """The use case and what it works with. `imaging` is a pool in the background; with `keep` false none is stored."""

    def __init__(self, catalog: Catalog, blobs: BlobStore, imaging: Pool, spool_folder: str, keep: bool = True) -> None:
        self._catalog = catalog
        self._blobs = blobs
        self._imaging = imaging
        self._spool_folder = spool_folder
        self._keep = keep
        self._large = FairSemaphore(1, backlog=WAITING)
        self._permits = FairSemaphore(imaging.workers, backlog=WAITING)
        self._making: dict[str, asyncio.Task[bytes]] = {}

    @property
    def asked(self) -> int:
        """How many are being made, wait for that, or are being read."""
        return len(self._making)

    async def of(self, image: Image) -> bytes:
        """The thumbnail of an image, a WebP; PLACEHOLDER where none can be made.

        Raises Fault: not_found (the image has just gone), overloaded, storage_unavailable.
        """
        making = self._making.get(image.blob) or self._begin(image)
        return await asyncio.shield(making)  # others may wait for it, too

    async def close(self) -> None:
        """Give up those that are being made."""
        tasks = list(self._making.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _stored(self, image: Image) -> bytes | None:
        try:
            return await _read(self._blobs, thumbnail_key(image.blob))
        except Fault as fault:
            if fault.code != "not_found":
                raise
            return None

    def _begin(self, image: Image) -> asyncio.Task[bytes]:
        task = asyncio.create_task(self._read_or_make(image))
        self._making[image.blob] = task

        def end(task: asyncio.Task[bytes]) -> None:
            del self._making[image.blob]
            if not task.cancelled():
                task.exception()  # who waited for it has it; perhaps nobody does any more

        task.add_done_callback(end)
        return task

    async def _read_or_make(self, image: Image) -> bytes:
        return await self._stored(image) or await self._make(image)

    async def _make(self, image: Image) -> bytes:
        path = f"{self._spool_folder}/{thumbnail_key(image.blob)}"
        spool = Spool(f"{path}.in", memory=SHARED_BUFFER_BYTES)
        async with self._permit(image):
            try:
                await fetch(self._blobs, image.blob, spool)
                thumbnail = await self._decoded(image, spool, path)
                await self._store(image, path)
                return thumbnail
            finally:
                spool.discard()
                _remove(path)

    @contextlib.asynccontextmanager
    async def _permit(self, image: Image) -> AsyncIterator[None]:
        """Hold a permit of the image's account; large images are made one by one. Raises Fault("overloaded")."""
        large = image.width * image.height * BYTES_A_PIXEL[image.mime] > LARGE
        async with contextlib.AsyncExitStack() as held:
            for semaphore in (self._large, self._permits) if large else (self._permits,):
                if not await semaphore.acquire(image.account_id, WAIT_SECONDS):
                    raise policy.overloaded()
                held.callback(semaphore.release, image.account_id)
            yield

    async def _decoded(self, image: Image, spool: Spool, path: str) -> bytes:
        """Have a worker make the thumbnail at `path`, or put the placeholder there."""
        try:
            with storage():
                contents = spool.contents()
            size = await self._imaging.thumbnail(contents, path)
            with storage():
                return _contents(path, size)
        except Fault as fault:
            if fault.code not in UNDECODABLE:
                raise
            log.info("image %s has no thumbnail: %s", image.slug, fault.message)
        with storage():
            _write(path, PLACEHOLDER)
        return PLACEHOLDER

    async def _store(self, image: Image, path: str) -> None:
        """Keep a thumbnail, where that is possible, for as long as its image is there. Raises Tampered."""
        if not self._keep:
            return
        key = thumbnail_key(image.blob)
        try:
            await self._blobs.put(key, path)
            if not await self._is_there(image):  # whoever deleted it meanwhile may have looked before this was stored
                await self._blobs.delete(key)
        except Tampered:
            self._imaging.replace_all()
            raise
        except Fault as fault:
            if fault.code == "not_found":
                return  # it was deleted with its image while it was being put
            # Another node has stored it already, or the store is full: it will be made again.
            log.warning("the thumbnail of %s was not stored: %s (%r)", image.slug, fault.message, fault.__cause__)

    async def _is_there(self, image: Image) -> bool:
        found = await self._catalog.image(image.slug)
        return found is not None and found.blob == image.blob and found.buried_at is None


async def _read(blobs: BlobStore, key: str) -> bytes:
    """A small blob whole. Raises Fault: not_found, storage_unavailable."""
    with contextlib.closing(await blobs.open(key)) as blob:
        return b"".join([chunk async for chunk in blob.read(0, blob.size)])


def _contents(path: str, size: int) -> bytes:
    """The first `size` bytes of a file that a worker has made: of no link, and nothing that one would wait for."""
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.read(file, size)
    finally:
        os.close(file)


def _write(path: str, data: bytes) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(data)


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
