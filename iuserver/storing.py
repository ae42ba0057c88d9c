"""Storing an upload: its bytes, then its record and charge, so that a crash leaves at worst bytes without a record."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from iuserver.errors import ClientGone, Fault, OutcomeUnknown, tampered
from iuserver.ports import BlobStore, Catalog
from iuserver.records import Account, Charge, Claim, Image


def always_here() -> bool:
    """A sender whose presence has been checked already."""
    return True


@dataclass
class BlobThenRecord:
    """The port StoresUploads over a blob store and a catalog, wherever they are."""

    blobs: BlobStore
    catalog: Catalog

    async def store(
        self, path: str, image: Image, charge: Charge, claim: Claim | None, is_here: Callable[[], bool] = always_here
    ) -> Account:
        if await self.blobs.put(image.blob, path) != image.size:  # a worker has changed it since it described it
            await self._take_back(image)
            raise tampered()
        if not is_here():
            await self._take_back(image)
            raise ClientGone
        try:
            return await self.catalog.commit_upload(image, charge, claim)
        except Fault as fault:
            if fault.code == "storage_unavailable":
                raise OutcomeUnknown(fault.code, fault.message) from fault.__cause__
            await self._take_back(image)
            raise

    async def _take_back(self, image: Image) -> None:
        with contextlib.suppress(Fault):  # the janitor finds what no record knows
            await self.blobs.delete(image.blob)
