"""Blobs as files below one folder, in 256 shards by the first two characters of their key.

The shards are made and opened at start: 256 folders serve ten million blobs, and no upload has to make one. A blob
gets its name by link(2), which never overwrites, after its bytes have been synced; then the folder is synced, so that
the name survives a crash as well.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from iuserver.errors import Fault
from iuserver.threads import Crew, perform_each

CHUNK = 256 * 1024
SYNC_THREADS = 8
SHARDS = [f"{number:02x}" for number in range(256)]


class DiskBlobs:
    """The port BlobStore on a local disk. Syncs run in several threads: many at once share the journal's commit."""

    def __init__(self, folder: Path, sync: bool = True) -> None:
        self._sync = sync
        self._crew: Crew[Callable[[], Any]] = Crew("blob", SYNC_THREADS, perform_each)
        self._shards: dict[str, int] = {}
        for shard in SHARDS:
            (folder / shard).mkdir(parents=True, exist_ok=True)
            self._shards[shard] = os.open(folder / shard, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    async def put(self, key: str, path: str) -> None:
        await self._in_thread(lambda: self._put(path, self._shards[key[:2]], key))

    async def open(self, key: str) -> DiskBlob:
        try:
            file = os.open(key, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._shards[key[:2]])
            return DiskBlob(file, self._in_thread)
        except FileNotFoundError:
            raise Fault("not_found", "There is no such image") from None
        except OSError as error:
            raise _unavailable() from error

    async def delete(self, key: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            await self._in_thread(lambda: os.unlink(key, dir_fd=self._shards[key[:2]]))

    async def close(self) -> None:
        await self._crew.close()
        while self._shards:
            os.close(self._shards.popitem()[1])

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        try:
            return await self._crew.run(work)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _unavailable() from error

    def _put(self, path: str, shard: int, key: str) -> None:
        if self._sync:
            _sync(path)
        try:
            os.link(path, key, dst_dir_fd=shard)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._put_from_another_disk(path, shard, key)
        if self._sync:
            os.fsync(shard)

    def _put_from_another_disk(self, path: str, shard: int, key: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        temporary = f"{key}.tmp"
        try:
            with open(path, "rb") as source, open(os.open(temporary, flags, 0o640, dir_fd=shard), "wb") as target:
                shutil.copyfileobj(source, target)
                target.flush()
                if self._sync:
                    os.fsync(target.fileno())
            os.link(temporary, key, src_dir_fd=shard, dst_dir_fd=shard)
        finally:
            os.unlink(temporary, dir_fd=shard)


def _sync(path: str) -> None:
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


class DiskBlob:
    """An open blob: the port Blob."""

    def __init__(self, file: int, in_thread: Callable[[Callable[[], Any]], Awaitable[Any]]) -> None:
        self._file: int | None = file
        self._in_thread = in_thread
        self.size = os.fstat(file).st_size

    async def read(self, start: int, stop: int) -> AsyncIterator[bytes]:
        assert self._file is not None
        while start < stop:
            read = functools.partial(os.pread, self._file, min(CHUNK, stop - start), start)
            # A small file is read in microseconds: to ask a thread would take longer.
            chunk = read() if self.size <= CHUNK else await self._in_thread(read)
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
