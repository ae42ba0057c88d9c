"""The library: an account's own images. Lists, shows and deletes them, and manages folders."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from iuserver import forms, policy, signing
from iuserver.errors import Fault, no_such_image
from iuserver.ports import BlobStore, WholeCatalog
from iuserver.records import Caller, Folder, Image

MAX_FOLDERS = 200
DELETIONS = 16
"""So many at once share a commit; an upload waits behind no more than that."""


@dataclass(frozen=True, slots=True)
class Library:
    """The use case and what it works with. `secret` signs deletion links, `clock` gives unix seconds."""

    catalog: WholeCatalog
    blobs: BlobStore
    secret: bytes
    clock: Callable[[], float]

    async def images(self, caller: Caller, query: forms.ListForm) -> tuple[list[Image], int]:
        """A page of a caller's images, the newest first, and how many there are in all."""
        return await self.catalog.list_images(caller.account.id, query.folder, query.limit, query.offset)

    async def get(self, slug: str, caller: Caller) -> Image:
        """One of a caller's images. Raises Fault("not_found"), alike for other accounts' and unknown ones."""
        image = await self.catalog.image(slug)
        if image is None or image.account_id != caller.account.id or policy.is_expired(image, self.clock()):
            raise no_such_image()
        return image

    async def delete(self, slug: str, caller: Caller) -> Image:
        """Delete a caller's image. Raises Fault("not_found"), as `get` does."""
        return await self.delete_record(await self.get(slug, caller))

    def delete_token(self, image: Image) -> str:
        """What the image's deletion link carries."""
        return signing.delete_token(self.secret, image)

    async def find_for_deletion(self, slug: str, token: str) -> Image:
        """The image that a deletion link means. Raises Fault("not_found"), also when it has been deleted."""
        image = await self.catalog.image(slug)
        if image is None or not signing.is_delete_token(self.secret, image, token):
            raise no_such_image()
        return image

    async def delete_by_link(self, slug: str, token: str) -> Image:
        """Delete the image that a deletion link means. Raises Fault("not_found")."""
        return await self.delete_record(await self.find_for_deletion(slug, token))

    async def folders(self, caller: Caller) -> list[tuple[Folder, int]]:
        """A caller's folders, oldest first, each with the number of its images."""
        return await self.catalog.folders(caller.account.id)

    async def create_folder(self, caller: Caller, name: object) -> Folder:
        """Make a folder. Raises Fault: bad_field, name_taken, folder_limit."""
        checked = forms.folder_name(name)
        folder = Folder(caller.account.id, forms.folder_slug(checked), checked, int(self.clock()))
        await self.catalog.add_folder(folder, MAX_FOLDERS)
        return folder

    async def delete_all_of(self, account_id: str) -> int:
        """Delete every image of an account; returns how many there were."""
        images = await self.catalog.images_of(account_id)
        count = 0
        for start in range(0, len(images), DELETIONS):
            count += sum(await asyncio.gather(*map(self.delete_if_there, images[start : start + DELETIONS])))
        return count

    async def delete_if_there(self, image: Image) -> bool:
        """Delete an image; False where somebody else was faster."""
        try:
            await self.delete_record(image)
        except Fault as fault:
            if fault.code != "not_found":
                raise
            return False
        return True

    async def delete_record(self, image: Image) -> Image:
        """Delete an image. Raises Fault("not_found") where somebody else has done it meanwhile.

        The record first, then the bytes: a crash in between leaves bytes without a record, never the reverse.
        """
        until = int(self.clock()) + policy.SLUG_DAYS * policy.DAY
        if await self.catalog.delete_image(image.slug, image.blob, until) is None:
            raise no_such_image()
        await self.blobs.delete(image.blob)
        return image

    async def bury(self, image: Image) -> bool:
        """Delete the bytes of an image that all its viewers have seen; False if that was done meanwhile.

        As when it is deleted: the record first, then the bytes.
        """
        if await self.catalog.bury_image(image.slug, image.blob, int(self.clock())) is None:
            return False
        await self.blobs.delete(image.blob)
        return True
