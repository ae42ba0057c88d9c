"""The library: looking at stored images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from iuserver import policy
from iuserver.errors import Fault
from iuserver.ports import Blob, BlobStore, Catalog
from iuserver.records import Caller, Image


@dataclass(frozen=True, slots=True)
class Opened:
    """An image whose bytes may be sent; whoever has it closes `blob`."""

    image: Image
    blob: Blob
    seconds_left: int | None


@dataclass(frozen=True, slots=True)
class Library:
    """The use case and what it works with; `clock` gives unix seconds."""

    catalog: Catalog
    blobs: BlobStore
    clock: Callable[[], float]

    async def open(self, slug: str, ext: str, caller: Caller | None) -> Opened:
        """Open an image for whoever asks (None: anybody).

        Raises Fault("not_found") alike for what never was, what has expired, a wrong extension, and a gated image
        that is not the caller's.
        """
        image = await self.catalog.image(slug)
        now = self.clock()
        if image is None or image.ext != ext or not policy.may_read(image, caller, now):
            raise Fault("not_found", "There is no such image")
        left = None if image.expires_at is None else int(image.expires_at - now)
        return Opened(image, await self.blobs.open(image.blob), left)
