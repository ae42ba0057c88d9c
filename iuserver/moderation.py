"""The blocklist: pictures that nobody may upload, identified by the SHA-256 of their stored bytes."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable

from iuserver.errors import Fault
from iuserver.ports import BlobStore, Catalog
from iuserver.records import Block, Image

FRESH = 1.0
"""Seconds for which it stays known that the list is empty, so that no upload pays for it."""
SETTLED = 2.0
"""Seconds after which every upload that did not know of a block yet has been stored, or refused for it."""
BATCH = 500
ID_DIGITS = 12


class Moderation:
    """The use case: the check that each upload passes, and what an operator does with the list."""

    def __init__(self, catalog: Catalog, blobs: BlobStore, clock: Callable[[], float]) -> None:
        self._catalog = catalog
        self._blobs = blobs
        self._clock = clock
        self._any = False
        self._asked_at = float("-inf")

    async def check(self, path: str) -> None:
        """Raises Fault("blocked") for a picture, ready to be stored, that is on the list. Only then it is hashed."""
        now = self._clock()
        if not 0 <= now - self._asked_at < FRESH:
            self._any, self._asked_at = await self._catalog.has_blocks(), now
        if self._any and await self._catalog.is_blocked((await hash_of_file(path))[0]):
            raise Fault("blocked", "This picture is not allowed here")

    async def block(self, sha256: bytes, size: int | None, origin: str) -> Block:
        """Put the picture with these stored bytes on the list; `origin` is what the operator named."""
        block = Block(sha256.hex()[:ID_DIGITS], sha256, size, origin, int(self._clock()))
        await self._catalog.add_block(block)
        return block

    async def block_image(self, slug: str, origin: str) -> Block:
        """Put a stored image on the list. Raises Fault("not_found")."""
        image = await self._catalog.image(slug)
        if image is None or image.buried_at is not None:
            raise Fault("not_found", f"There is no image {slug}")
        return await self.block(await self._hash_of(image), image.size, origin)

    async def all(self) -> list[Block]:
        """The list, oldest first."""
        return await self._catalog.blocks()

    async def unblock(self, id: str) -> None:
        """Take a picture off the list. Raises Fault("not_found")."""
        await self._catalog.remove_block(id)

    async def purge(self, block: Block, delete: Callable[[Image], Awaitable[object]]) -> int:
        """Delete every image with these bytes, in all accounts; returns how many there were.

        All records are gone through; only bytes of the right number are hashed.
        """
        await asyncio.sleep(SETTLED)
        count, after = 0, ""
        while page := await self._catalog.images_page(after, BATCH):
            for image in page:
                count += await self._purge_one(image, block, delete)
            after = page[-1].slug
        return count

    async def _purge_one(self, image: Image, block: Block, delete: Callable[[Image], Awaitable[object]]) -> bool:
        if image.buried_at is not None or block.size not in (None, image.size):
            return False
        try:
            if await self._hash_of(image) != block.sha256:
                return False
            await delete(image)
        except Fault as fault:
            if fault.code != "not_found":
                raise
            return False  # somebody has deleted it meanwhile
        return True

    async def _hash_of(self, image: Image) -> bytes:
        blob = await self._blobs.open(image.blob)
        try:
            digest = hashlib.sha256()
            async for chunk in blob.read(0, blob.size):
                digest.update(chunk)
            return digest.digest()
        finally:
            blob.close()


async def hash_of_file(path: str) -> tuple[bytes, int]:
    """The SHA-256 of a file and its size, found out in a thread."""

    def hashed() -> tuple[bytes, int]:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").digest(), file.tell()

    return await asyncio.to_thread(hashed)
