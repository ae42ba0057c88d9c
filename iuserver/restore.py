"""The use case of restoring a backup: its bytes into a blob store, then its records without what is not to come back.

Records whose bytes are not restored are deleted as their owners would do it, so that all counts stay in step.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from iuserver import policy
from iuserver.backup import BATCH, BackupError, Manifest, all_images, path_of, sha256_of
from iuserver.copying import digest_of, for_each
from iuserver.library import Library
from iuserver.ports import WholeCatalog
from iuserver.records import Image

EVER = 2**53
"""Later than any time that is stored."""


@dataclass(slots=True)
class Result:
    """What was restored: images; those left out, as they were for a number of viewers, have expired, or were deleted
    while the backup ran; and images whose bytes in the backup are damaged, which were reported and left out."""

    images: int = 0
    left_out: int = 0
    problems: int = 0


def copy_catalog(folder: Path, manifest: Manifest, target: Path) -> None:
    """Copy a backup's catalog to a file. Raises BackupError where it is not what the manifest says, OSError."""
    source = folder / manifest.catalog
    shutil.copyfile(source, target)
    if sha256_of(target) != manifest.catalog_sha256:
        raise BackupError(f"{source} is damaged: its SHA-256 is not that of the manifest")


async def forget_sign_ins(catalog: WholeCatalog) -> None:
    """Delete sessions, sign-in links and invites: those that have ended or were used since the backup would be good
    again."""
    while await catalog.purge_sessions(EVER, EVER, BATCH):
        pass
    while await catalog.purge_links(EVER, BATCH):
        pass
    while await catalog.purge_invites(EVER, BATCH):
        pass


class Restore:
    """One run. `library` works on the copied catalog and the blob store to restore to; `tell` gets a line for each
    problem, `progress` is called for each image."""

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        library: Library,
        tell: Callable[[str], None],
        progress: Callable[[], object],
    ) -> None:
        self._folder = folder
        self._manifest = manifest
        self._library = library
        self._tell = tell
        self._progress = progress
        self.result = Result()

    async def run(self) -> Result:
        """Restore every image, or delete its record. Raises Fault."""
        await for_each(all_images(self._library.catalog), self._restore)
        return self.result

    async def _restore(self, image: Image) -> None:
        self._progress()
        if image.buried_at is not None:
            return  # a tombstone, which has no bytes
        digest = self._manifest.blobs.get(image.blob)
        if digest is None or not policy.is_backed_up(image, self._library.clock()):
            self.result.left_out += 1
            await self._library.delete_record(image)
        elif await self._put(image.blob, digest):
            self.result.images += 1
        else:
            self.result.problems += 1
            self._tell(f"image {image.slug}: blob {image.blob} is damaged or missing in the backup; it is left out")
            await self._library.delete_record(image)

    async def _put(self, key: str, digest: str) -> bool:
        """Put a blob into the store, where it may be already; False where the backup has not got these bytes."""
        blobs, path = self._library.blobs, path_of(self._folder, key)
        if await blobs.size(key) is not None:
            if (await digest_of(blobs, key)).hex() == digest:
                return True
            await blobs.delete(key)
        try:
            if await asyncio.to_thread(sha256_of, path) != digest:
                return False
        except FileNotFoundError:
            return False
        await blobs.put(key, str(path))
        return True
