"""Opens the catalog and the blob store that the settings name; the only module that knows them all."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from iuserver.blobs.disk import DiskBlobs
from iuserver.catalog.read_only import read_only
from iuserver.catalog.sqlite import SqliteCatalog
from iuserver.errors import Fault
from iuserver.permissions import FILE, FOLDER, group_id
from iuserver.ports import BlobStore, Copyable, Presigns, StoresUploads, WholeCatalog
from iuserver.settings import Settings, SettingsError, s3_location
from iuserver.storing import BlobThenRecord
from iuserver.writer.client import WriterBlobs, WriterProcess, WriterStore, writer_catalog

Clock = Callable[[], float]


class StartError(Exception):
    """The server cannot start; the text is one line that says why."""


def writer_of(settings: Settings) -> WriterProcess | None:
    """The writer process, not started yet, of what the settings name; None where nothing is written on this machine."""
    catalog, blobs = _file_of(settings.catalog.url, settings), _folder_of(settings.blobs.url, settings)
    if settings.server.read_only or not (catalog or blobs):
        return None
    return WriterProcess(catalog, blobs, settings.blobs.sync, group_of(settings))


def group_of(settings: Settings) -> int | None:
    """The number of the group that may read blobs on this machine, besides the server's user. Raises SettingsError."""
    try:
        return group_id(settings.blobs.group)
    except ValueError as error:
        raise SettingsError(f"blobs.group: {error}") from error


async def open_catalog(
    settings: Settings,
    clock: Clock = time.time,
    node: str = "",
    *,
    make: bool = True,
    writer: WriterProcess | None = None,
) -> WholeCatalog:
    """The catalog that the settings name; `node` names this process across its restarts. Raises StartError.

    Where there is none, it is made, or with `make` false it is an error. What is on this machine `writer` writes.
    """
    catalog = await open_catalog_at(settings.catalog.url, settings, clock, node, make=make)
    if writer and isinstance(catalog, SqliteCatalog):
        return writer_catalog(catalog, writer)
    return read_only(catalog) if settings.server.read_only else catalog


async def open_catalog_at(
    url: str, settings: Settings, clock: Clock = time.time, node: str = "", *, make: bool = True
) -> Copyable:
    """The catalog at a URL, to be changed whatever the settings say; "sqlite:" alone is that in the data folder.

    Raises StartError.
    """
    if file := _file_of(url, settings):
        return _open_sqlite(file, make)
    if url.partition(":")[0] in ("mongodb", "mongodb+srv"):
        return await _open_mongo(url, node, clock, make)
    raise StartError("a catalog's URL begins with sqlite:, mongodb:// or mongodb+srv://")


def _file_of(url: str, settings: Settings) -> Path | None:
    """The file of a catalog that is one."""
    scheme, _, path = url.partition(":")
    return Path(path or Path(settings.server.data) / "catalog.db") if scheme == "sqlite" else None


def _folder_of(url: str, settings: Settings) -> Path | None:
    """The folder of a blob store that is one."""
    return None if url.startswith("s3:") else Path(url.removeprefix("disk:") or Path(settings.server.data) / "blobs")


def _open_sqlite(path: Path, make: bool) -> Copyable:
    try:
        if not make and not path.exists():
            raise StartError(f"server.data: there is no catalog in {path.parent}")
        path.parent.mkdir(FOLDER, parents=True, exist_ok=True)
        _make_private(path)
        return SqliteCatalog(path)
    except OSError as error:
        raise StartError(f"server.data: {path.parent}: {error.strerror}") from error
    except Fault as fault:
        raise StartError(f"catalog.url: {path}: {fault.__cause__}") from fault


def _make_private(path: Path) -> None:
    """Make a file that SQLite takes for an empty database, and whose mode it gives to what it puts beside it."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE))


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


async def open_blobs(settings: Settings, writer: WriterProcess | None = None) -> BlobStore:
    """The blob store: in the data folder, where `writer` puts, or a bucket that can be reached. Raises StartError."""
    try:
        return await open_blob_store(settings.blobs.url, settings, writer)
    except StartError as error:
        raise StartError(f"blobs.url: {error}") from error


async def open_blob_store(url: str, settings: Settings, writer: WriterProcess | None = None) -> BlobStore:
    """The blob store of a URL, of which `disk:` is the one in the data folder. Raises StartError."""
    folder = _folder_of(url, settings)
    if not folder:
        return await _open_s3(url)
    try:
        if writer:
            return WriterBlobs(folder, writer)
        return DiskBlobs(folder, sync=settings.blobs.sync, group=group_of(settings))
    except OSError as error:
        raise StartError(f"{folder}: {error.strerror}") from error


def upload_store(catalog: WholeCatalog, blobs: BlobStore, writer: WriterProcess | None) -> StoresUploads:
    """What stores uploads in a catalog and a blob store: `writer` itself, where it writes both."""
    return WriterStore(writer) if writer and writer.has_both else BlobThenRecord(blobs, catalog)


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
