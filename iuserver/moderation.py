"""The blocklist: pictures that nobody may upload, by the SHA-256 of their stored bytes, and others that look like them.

Likeness is told by perceptual hashes (iuserver/likeness.py). A picture in which little happens has none: it is compared
by its bytes alone, as many others look like it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

from iuserver.errors import Fault
from iuserver.imaging.pool import Pool
from iuserver.imaging.wire import SHARED_BUFFER_BYTES
from iuserver.likeness import COMPARED, LISTED, turns
from iuserver.ports import BlobStore, Catalog
from iuserver.records import Block, Image
from iuserver.spool import Spool, fetch, storage

FRESH = 1.0
"""Seconds for which it stays known what kinds of entries there are, so that no upload pays for an empty list."""
SETTLED = 2.0
"""Seconds after which every upload that did not know of a block yet has been stored, or refused for it."""
BATCH = 500
ID_DIGITS = 12


class Moderation:
    """The use case: the check that each upload passes, and what an operator does with the list.

    `imaging` looks at pictures, in `folder`. A picture is like one on the list if their hashes differ in at most
    `distance` bits; 0 compares bytes alone.
    """

    def __init__(
        self,
        catalog: Catalog,
        blobs: BlobStore,
        imaging: Pool,
        folder: str,
        clock: Callable[[], float],
        distance: int = 0,
    ) -> None:
        self._catalog = catalog
        self._blobs = blobs
        self._imaging = imaging
        self._folder = folder
        self._clock = clock
        self._distance = distance
        self._any = self._any_likeness = False
        self._asked_at = float("-inf")

    async def check(self, path: str) -> None:
        """Raises Fault("blocked") for a picture, ready to be stored, that is on the list or looks like one that is.

        Only then it is hashed, and decoded only where there are perceptual hashes. Raises Fault("overloaded"), too.
        """
        await self._refresh()
        if self._any and await self._catalog.is_blocked((await hash_of_file(path))[0]):
            raise _blocked()
        if self._any_likeness:
            await self._check_likeness(await self._imaging.likeness(path))

    async def _check_likeness(self, likeness: bytes | None) -> None:
        if likeness is None or turns(likeness) < COMPARED:
            return
        if await self._catalog.is_like_blocked(likeness, self._distance):
            raise _blocked()

    async def _refresh(self) -> None:
        now = self._clock()
        if not 0 <= now - self._asked_at < FRESH:
            self._any, self._asked_at = await self._catalog.has_blocks(), now
            self._any_likeness = self._any and self._distance > 0 and await self._catalog.has_likenesses()

    async def block(self, sha256: bytes, size: int | None, origin: str, likeness: bytes | None = None) -> Block:
        """Put the picture with these stored bytes on the list; `origin` is what the operator named.

        It gets its perceptual hash where few others look like it.
        """
        if likeness is not None and turns(likeness) < LISTED:
            likeness = None
        block = Block(sha256.hex()[:ID_DIGITS], sha256, size, origin, int(self._clock()), likeness)
        await self._catalog.add_block(block)
        return block

    async def block_file(self, file: Path) -> Block:
        """Put a picture of the operator's on the list, as it would be stored. Raises Fault, OSError."""
        origin, target = (f"{self._folder}/block.{end}" for end in ("in", "out"))
        shutil.copyfile(file, origin)  # what a worker is given may be cut or linked
        await self._imaging.submit(origin, target)
        return await self.block(*await hash_of_file(target), file.name, await self._imaging.likeness(target))

    async def block_image(self, slug: str, origin: str) -> Block:
        """Put a stored image on the list. Raises Fault: not_found, storage_unavailable, overloaded."""
        image = await self._catalog.image(slug)
        if image is None or image.buried_at is not None:
            raise Fault("not_found", f"There is no image {slug}")
        return await self.block(await self._hash_of(image), image.size, origin, await self._likeness_of(image))

    async def _likeness_of(self, image: Image) -> bytes | None:
        spool = Spool(f"{self._folder}/{image.blob}.block", memory=SHARED_BUFFER_BYTES)
        with contextlib.ExitStack() as stack:
            stack.callback(spool.discard)
            await fetch(self._blobs, image.blob, spool)
            with storage():
                contents = spool.contents()
            return await self._imaging.likeness(contents)

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


def _blocked() -> Fault:
    return Fault("blocked", "This picture is not allowed here")


async def hash_of_file(path: str) -> tuple[bytes, int]:
    """The SHA-256 of a file and its size, found out in a thread."""

    def hashed() -> tuple[bytes, int]:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").digest(), file.tell()

    return await asyncio.to_thread(hashed)
