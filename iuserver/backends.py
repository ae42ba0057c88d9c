"""From a setting to an opened backend: the one place that names the catalogs and the blob stores."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from iuserver.blobs.disk import DiskBlobs
from iuserver.catalog.read_only import read_only
from iuserver.catalog.sqlite import SqliteCatalog
from iuserver.errors import Fault
from iuserver.ports import BlobStore, Catalog, Copyable, Presigns
from iuserver.settings import Settings, SettingsError, s3_location

Clock = Callable[[], float]


class StartError(Exception):
    """The server cannot start; the text is one line that says why."""


async def open_catalog(settings: Settings, clock: Clock = time.time, node: str = "", *, make: bool = True) -> Catalog:
    """The catalog that the settings name; `node` names this process across its restarts. Raises StartError.

    Where there is none, it is made, or with `make` false it is an error.
    """
    catalog = await open_catalog_at(settings.catalog.url, settings, clock, node, make=make)
    return read_only(catalog) if settings.server.read_only else catalog


async def open_catalog_at(
    url: str, settings: Settings, clock: Clock = time.time, node: str = "", *, make: bool = True
) -> Copyable:
    """The catalog at a URL, to be changed whatever the settings say; "sqlite:" alone is that in the data folder.

    Raises StartError.
    """
    scheme, _, path = url.partition(":")
    if scheme == "sqlite":
        return _open_sqlite(Path(path or Path(settings.server.data) / "catalog.db"), make)
    if scheme in ("mongodb", "mongodb+srv"):
        return await _open_mongo(url, node, clock, make)
    raise StartError("a catalog's URL begins with sqlite:, mongodb:// or mongodb+srv://")


def _open_sqlite(path: Path, make: bool) -> Copyable:
    try:
        if not make and not path.exists():
            raise StartError(f"server.data: there is no catalog in {path.parent}")
        path.parent.mkdir(parents=True, exist_ok=True)
        return SqliteCatalog(path)
    except OSError as error:
        raise StartError(f"server.data: {path.parent}: {error.strerror}") from error
    except Fault as fault:
        raise StartError(f"catalog.url: {path}: {fault.__cause__}") from fault


async def _open_mongo(url: str, node: str, clock: Clock, make: bool) -> Copyable:
    from iuserver.catalog.mongo import MongoCatalog  # half a second and 11 MB, which SQLite does without

    try:
        catalog = await MongoCatalog.open(url, node, clock)
        if make or await catalog.exists():
            return catalog
        await catalog.close()
        raise StartError("catalog.url: there is no catalog in this database")
    except Fault as fault:
        raise StartError(f"catalog.url: {fault.message}") from fault


async def open_blobs(settings: Settings) -> BlobStore:
    """The blob store: in the data folder, or a bucket that can be reached. Raises StartError."""
    try:
        return await open_blob_store(settings.blobs.url, settings)
    except StartError as error:
        raise StartError(f"blobs.url: {error}") from error


async def open_blob_store(url: str, settings: Settings) -> BlobStore:
    """The blob store of a URL, of which `disk:` is the one in the data folder. Raises StartError."""
    if url.startswith("s3:"):
        return await _open_s3(url)
    folder = Path(url.removeprefix("disk:") or Path(settings.server.data) / "blobs")
    try:
        return DiskBlobs(folder, sync=settings.blobs.sync)
    except OSError as error:
        raise StartError(f"{folder}: {error.strerror}") from error


async def _open_s3(url: str) -> BlobStore:
    from iuserver.blobs.s3 import S3Blobs  # it takes half a second, and memory, that only those pay who use it

    try:
        location = s3_location(url)
        return await S3Blobs.connect(location.bucket, location.prefix, location.endpoint, location.region)
    except ValueError as error:
        raise StartError(f"{error}, not {url!r}") from error
    except Fault as fault:
        reason = " ".join(str(fault.__cause__).split()) or "no answer in time"
        raise StartError(f"{url}: {reason}") from fault


def presigns_of(blobs: BlobStore, settings: Settings) -> Presigns | None:
    """The store's ability to let clients read from itself, where that is wanted. Raises SettingsError."""
    if not settings.delivery.presign:
        return None
    if isinstance(blobs, Presigns):
        return blobs
    raise SettingsError(f"delivery.presign: must be 0 with blobs.url = {settings.blobs.url!r}")
