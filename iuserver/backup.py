"""The use case of a backup: a folder with a snapshot of the catalog, the bytes of its images, and a manifest of both.

The folder may be written to again and again. What is new is added, then the new manifest takes the old one's place in
one step, then what it does not name is removed: whenever a run is interrupted, the last manifest is a whole backup.
The snapshot is made first. A blob is in place before its record exists, so every record in the snapshot has its bytes,
unless they have been deleted since.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from iuserver import __version__, policy
from iuserver.copying import digest_of, for_each
from iuserver.errors import Fault
from iuserver.ports import BlobStore, Catalog, Links, Snapshots
from iuserver.records import Image

BATCH = 500
MANIFEST = "manifest.json"
DRAFT = "catalog.new"
LOCK = "backup.lock"
_CATALOG = re.compile(r"catalog-[0-9a-f]{16}\.db")
_KEY = re.compile(r"[0-9a-f]{32}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class BackupError(Exception):
    """Why a backup cannot be made or restored, in one line."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds. `server` says whose it is; `catalog` names its file, `blobs` is by key; hashes are SHA-256.

    `made_at` is when the backup began: what was acknowledged until then is in it.
    """

    iuserver: str
    made_at: int
    server: str
    catalog: str
    catalog_sha256: str
    blobs: dict[str, str]

    @classmethod
    def read(cls, folder: Path) -> Manifest | None:
        """The manifest of a backup; None where there is none. Raises BackupError, OSError."""
        try:
            manifest = cls(**orjson.loads((folder / MANIFEST).read_bytes()))
            named = [_CATALOG.fullmatch(manifest.catalog), _DIGEST.fullmatch(manifest.catalog_sha256)]
            named += map(_KEY.fullmatch, manifest.blobs)
            named += map(_DIGEST.fullmatch, manifest.blobs.values())
        except FileNotFoundError:
            return None
        except (TypeError, ValueError, AttributeError) as error:
            raise BackupError(f"{folder / MANIFEST} is damaged: {error}") from error
        if not all(named):
            raise BackupError(f"{folder / MANIFEST} is damaged: it names what no backup holds")
        return manifest

    def write(self, folder: Path) -> None:
        """Put the manifest in place of the last one, once all that it names is on the disk."""
        draft = folder / f"{MANIFEST}.new"
        draft.write_bytes(orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2))
        os.sync()
        draft.replace(folder / MANIFEST)
        os.sync()


def path_of(folder: Path, key: str) -> Path:
    """Where a backup has a blob."""
    return folder / "blobs" / key[:2] / key


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(slots=True)
class Result:
    """What a backup has done: images in it, of these linked, copied or there already; files removed that are gone from
    the server; bytes copied; problems that were reported."""

    images: int = 0
    linked: int = 0
    copied: int = 0
    present: int = 0
    removed: int = 0
    bytes: int = 0
    problems: int = 0


class Backup:
    """One run into a folder. `open_snapshot` opens the file of a catalog, `tell` gets a line for each problem,
    `progress` is called for each image."""

    def __init__(
        self,
        folder: Path,
        catalog: Snapshots,
        blobs: BlobStore,
        open_snapshot: Callable[[Path], Awaitable[Catalog]],
        clock: Callable[[], float],
        tell: Callable[[str], None],
        progress: Callable[[], object],
    ) -> None:
        self._folder = folder
        self._catalog = catalog
        self._blobs = blobs
        self._open_snapshot = open_snapshot
        self._clock = clock
        self._tell = tell
        self._progress = progress
        self._hashes: dict[str, str] = {}
        self.result = Result()

    async def run(self) -> Result:
        """Make the backup. Raises BackupError, Fault, OSError; then the folder holds what it held before."""
        server = hashlib.sha256(b"iuserver backup" + await self._catalog.secret()).hexdigest()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._old = self._known_hashes(server)
        with _locked(self._folder):
            made_at = int(self._clock())
            draft = self._folder / DRAFT
            _remove_draft(draft)
            await self._catalog.snapshot(str(draft))
            await self._store_blobs(draft)
            digest = sha256_of(draft)
            name = f"catalog-{digest[:16]}.db"
            draft.rename(self._folder / name)
            await asyncio.to_thread(
                Manifest(__version__, made_at, server, name, digest, self._hashes).write, self._folder
            )
            self._remove_others(name)
        return self.result

    def _known_hashes(self, server: str) -> dict[str, str]:
        """The hashes of what the folder holds. Raises BackupError where it is not this server's to write to."""
        manifest = Manifest.read(self._folder)
        if manifest is None:
            strange = {path.name for path in self._folder.iterdir()} - {LOCK, DRAFT, "blobs", f"{MANIFEST}.new"}
            if any(not name.startswith(("catalog-", f"{DRAFT}-")) for name in strange):
                raise BackupError(f"{self._folder}: there is something else in this folder")
            return {}
        if manifest.server != server:
            raise BackupError(f"{self._folder}: this is the backup of another catalog; take another folder")
        return manifest.blobs

    async def _store_blobs(self, draft: Path) -> None:
        for shard in range(256):
            (self._folder / "blobs" / f"{shard:02x}").mkdir(parents=True, exist_ok=True)
        snapshot = await self._open_snapshot(draft)
        try:
            await for_each(all_images(snapshot), self._store)
        finally:
            await snapshot.close()

    async def _store(self, image: Image) -> None:
        self._progress()
        if not policy.is_backed_up(image, self._clock()):
            return
        try:
            self._hashes[image.blob] = await self._stored(image)
            self.result.images += 1
        except Fault as fault:
            if fault.code != "not_found":
                raise
            await self._note_missing(image)

    async def _stored(self, image: Image) -> str:
        """See that the backup has an image's bytes; returns their hash. Raises Fault("not_found")."""
        path, known = path_of(self._folder, image.blob), self._old.get(image.blob)
        if known and _size_of(path) == image.size:
            self.result.present += 1
            return known
        path.unlink(missing_ok=True)
        if isinstance(self._blobs, Links) and await self._blobs.link(image.blob, str(path)):
            self.result.linked += 1
            return await asyncio.to_thread(sha256_of, path)
        return await self._copied(image.blob, path)

    async def _copied(self, key: str, path: Path) -> str:
        draft = path.with_name(f"{key}.tmp")
        with draft.open("wb") as file:
            digest = await digest_of(self._blobs, key, file)
        draft.rename(path)
        self.result.copied += 1
        self.result.bytes += path.stat().st_size
        return digest.hex()

    async def _note_missing(self, image: Image) -> None:
        """Report bytes that are not there, unless their image has been deleted since the snapshot."""
        found = await self._catalog.image(image.slug)
        if found and found.blob == image.blob:
            self.result.problems += 1
            self._tell(f"image {image.slug}: blob {image.blob} is missing")

    def _remove_others(self, catalog: str) -> None:
        """Remove what the new manifest does not name."""
        for path in self._folder.glob("catalog-*"):
            if path.name != catalog:
                path.unlink()
        for shard in (self._folder / "blobs").iterdir():
            for path in shard.iterdir():
                if path.name not in self._hashes:
                    path.unlink()
                    self.result.removed += 1


async def all_images(catalog: Catalog) -> AsyncIterator[Image]:
    """Every record of a catalog, in constant memory."""
    after = ""
    while page := await catalog.images_page(after, BATCH):
        for image in page:
            yield image
        after = page[-1].slug


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder for one backup. Raises BackupError, OSError."""
    with (folder / LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupError(f"{folder}: another backup is under way") from None
        yield


def _remove_draft(draft: Path) -> None:
    """Remove what an interrupted backup has left of its snapshot."""
    for path in draft.parent.glob(f"{draft.name}*"):
        path.unlink()


def _size_of(path: Path) -> int | None:
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_size
    return None
