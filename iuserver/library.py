"""The library: an account's own images. Lists, shows and deletes them, and manages folders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from iuserver import forms, policy, signing
from iuserver.errors import no_such_image
from iuserver.ports import BlobStore, Catalog
from iuserver.records import Caller, Folder, Image, ImagePage, ListQuery

MAX_FOLDERS = 200
TAKEN_OUT = 250
"""Images that are taken out of a folder in one commit."""


@dataclass(frozen=True, slots=True)
class Library:
    """The use case and what it works with. `secret` signs deletion links, `clock` gives unix seconds."""

    catalog: Catalog
    blobs: BlobStore
    secret: bytes
    clock: Callable[[], float]

    async def images(self, caller: Caller, query: ListQuery) -> ImagePage:
        """A page of a caller's images."""
        soon = int(self.clock()) + policy.SOON_DAYS * policy.DAY
        return await self.catalog.list_images(caller.account.id, replace(query, soon=soon))

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

    async def rename_folder(self, caller: Caller, slug: str, name: object) -> tuple[Folder, int]:
        """Give a folder another name; its slug stays. Returns it with the number of its images.

        Raises Fault: not_found, bad_field, name_taken.
        """
        checked = forms.folder_name(name)
        forms.folder_slug(checked)  # refuses reserved names
        renamed = await self.catalog.rename_folder(caller.account.id, slug, checked)
        counts = {folder.slug: count for folder, count in await self.folders(caller)}
        return renamed, counts.get(slug, 0)

    async def remove_folder(self, caller: Caller, slug: str) -> None:
        """Delete a folder; its images are in the root then. Raises Fault: not_found, in_progress.

        It is emptied slice by slice: if that is interrupted, some of its images are in the root already.
        """
        while not await self.catalog.remove_folder(caller.account.id, slug, TAKEN_OUT):
            pass

    async def delete_all_of(self, account_id: str) -> int:
        """Delete every image of an account; returns how many there were."""
        images = await self.catalog.images_of(account_id)
        for image in images:
            await self.delete_record(image)
        return len(images)

    async def delete_record(self, image: Image) -> Image:
        """Delete an image. Raises Fault("not_found") where somebody else has done it meanwhile.

        The record first, then the bytes: a crash in between leaves bytes without a record, never the reverse.
        """
        until = int(self.clock()) + policy.SLUG_DAYS * policy.DAY
        if await self.catalog.delete_image(image.slug, image.blob, until) is None:
            raise no_such_image()
        await self.delete_bytes(image.blob)
        return image

    async def bury(self, image: Image) -> bool:
        """Delete the bytes of an image that all its viewers have seen; False if that was done meanwhile.

        As when it is deleted: the record first, then the bytes.
        """
        if await self.catalog.bury_image(image.slug, image.blob, int(self.clock())) is None:
            return False
        await self.delete_bytes(image.blob)
        return True

    async def delete_bytes(self, blob: str) -> None:
        """Delete the bytes of an image whose record does not need them any more."""
        await self.blobs.delete(blob)
