"""Blobs as files below one folder, in 256 shards by the first two characters of their key.

The shards are made at start: 256 folders serve ten million blobs, and no upload has to make one. A blob gets its
name by link(2), which never overwrites, after its bytes have been synced; then the folder is synced, so that the
name survives a crash as well.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from iuserver.errors import Fault

T = TypeVar("T")

CHUNK = 256 * 1024
SYNC_THREADS = 8
SHARDS = [f"{number:02x}" for number in range(256)]


class DiskBlobs:
    """The port BlobStore on a local disk. Syncs run in a pool of threads: many at once share the journal's commit."""

    def __init__(self, folder: Path, sync: bool = True) -> None:
        self._folder = folder
        self._sync = sync
        self._threads = ThreadPoolExecutor(SYNC_THREADS, "blob")
        for shard in SHARDS:
            (folder / shard).mkdir(parents=True, exist_ok=True)

    async def put(self, key: str, path: Path) -> None:
        await self._in_thread(lambda: self._put(path, self._path(key)))

    async def open(self, key: str) -> DiskBlob:
        try:
            return DiskBlob(os.open(self._path(key), os.O_RDONLY | os.O_CLOEXEC), self._threads)
        except FileNotFoundError:
            raise Fault("not_found", "There is no such image") from None
        except OSError as error:
            raise _unavailable() from error

    async def delete(self, key: str) -> None:
        await self._in_thread(lambda: self._path(key).unlink(missing_ok=True))

    async def close(self) -> None:
        self._threads.shutdown()

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / key

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except OSError as error:
            raise _unavailable() from error

    def _put(self, path: Path, target: Path) -> None:
        if self._sync:
            _sync(path, os.O_RDWR)
        try:
            os.link(path, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._put_from_another_disk(path, target)
        if self._sync:
            _sync(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        path.unlink()

    def _put_from_another_disk(self, path: Path, target: Path) -> None:
        temporary = target.with_suffix(".tmp")
        try:
            shutil.copyfile(path, temporary)
            if self._sync:
                _sync(temporary, os.O_RDWR)
            os.link(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)


def _sync(path: Path, flags: int) -> None:
    file = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


class DiskBlob:
    """An open blob: the port Blob."""

    def __init__(self, file: int, threads: ThreadPoolExecutor) -> None:
        self._file: int | None = file
        self._threads = threads
        self.size = os.fstat(file).st_size

    async def read(self, start: int, stop: int) -> AsyncIterator[bytes]:
        assert self._file is not None
        while start < stop:
            length = min(CHUNK, stop - start)
            if self.size <= CHUNK:  # a small file is read in microseconds: a thread would cost more
                chunk = os.pread(self._file, length, start)
            else:
                loop = asyncio.get_running_loop()
                chunk = await loop.run_in_executor(self._threads, os.pread, self._file, length, start)
            if not chunk:
                raise Fault("storage_unavailable", "The image's bytes end too early")
            start += len(chunk)
            yield chunk

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _unavailable() -> Fault:
    return Fault("storage_unavailable", "The image store is not available")
