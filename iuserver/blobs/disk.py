"""Blobs as files below one folder, in 256 shards by the first two characters of the key.

The shards are created and opened at start: 256 folders serve ten million blobs, and no upload has to create one. A blob
gets its name by link(2), which never overwrites, after its bytes have been synced; then the folder is synced, so that
the name survives a crash too.

A file is linked only when nobody can write to it any more: its mode forbids new writers, and a read lease from the
kernel proves that no writer has it open. Where leases are not supported, the bytes are copied.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import functools
import itertools
import os
import shutil
import stat
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from iuserver.errors import Fault, blobs_unavailable, no_such_image, tampered
from iuserver.permissions import BLOB, FOLDER, share_file
from iuserver.threads import Executor, Inline, WorkerThreads, perform_each

CHUNK = 256 * 1024
SYNC_THREADS = 8
BATCH = 500
"""So many files are listed at a time: a few milliseconds."""
SHARDS = [f"{number:02x}" for number in range(256)]
READABLE = 0o440
"""The mode of a blob: readable by its owner (and a shared group), writable by nobody."""
TMPFS = 0x01021994
"""It has no RWF_NOWAIT, and is memory anyway."""
LEASABLE = {0xEF53, TMPFS, 0x58465342, 0x9123683E, 0xF2F52010}
"""ext2 to ext4, tmpfs, XFS, btrfs and F2FS, by their statfs(2) magic: file systems whose leases detect every writer. On
others they may not; on overlayfs, for one, a file that is mapped but closed goes undetected."""
REFUSED_LEASE = {errno.EAGAIN, errno.EWOULDBLOCK}
UNLINKABLE = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP}
"""Why a file cannot have another name: on another disk, on a file system without hard links, or too many already."""
LIBC = ctypes.CDLL(None, use_errno=True)


class DiskBlobs:
    """The port BlobStore on a local disk. Syncs run in several threads: many at once share the journal's commit. With
    `in_place` they run in those that call. Nobody but this user may read a blob, and a `group`, by its number."""

    def __init__(self, folder: Path, sync: bool = True, *, in_place: bool = False, group: int | None = None) -> None:
        self._sync = sync
        self._group = group
        self._threads: Executor[Callable[[], Any]] = (
            Inline() if in_place else WorkerThreads("blob", SYNC_THREADS, perform_each)
        )
        self._shards: dict[str, int] = {}
        folder.parent.mkdir(FOLDER, parents=True, exist_ok=True)
        folder.mkdir(FOLDER, exist_ok=True)
        for shard in SHARDS:
            (folder / shard).mkdir(FOLDER, exist_ok=True)
            self._shards[shard] = os.open(folder / shard, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        kind = _kind(self._shards[SHARDS[0]])
        self._leasable = kind in LEASABLE
        self._read_at_once = os.pread if kind == TMPFS else _read_cached

    async def put(self, key: str, path: str) -> int:
        size: int = await self._in_thread(lambda: self._put(path, self._shards[key[:2]], key))
        return size

    async def open(self, key: str) -> DiskBlob:
        try:
            file = os.open(key, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._shards[key[:2]])
            return DiskBlob(file, self._read_at_once, self._in_thread)
        except FileNotFoundError:
            raise no_such_image() from None
        except OSError as error:
            raise blobs_unavailable() from error

    async def size(self, key: str) -> int | None:
        try:
            return os.stat(key, dir_fd=self._shards[key[:2]]).st_size
        except FileNotFoundError:
            return None
        except OSError as error:
            raise blobs_unavailable() from error

    async def delete(self, key: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            await self._in_thread(lambda: os.unlink(key, dir_fd=self._shards[key[:2]]))

    async def listing(self) -> AsyncIterator[tuple[str, float]]:
        for shard in SHARDS:
            files = _ShardListing(shard, self._shards[shard])
            try:
                while batch := await self._in_thread(files.batch):
                    for listed in batch:
                        yield listed
            finally:
                files.close()

    def place(self, key: str) -> str:
        return f"{key[:2]}/{key}"

    async def link(self, key: str, path: str) -> bool:
        try:
            os.link(key, path, src_dir_fd=self._shards[key[:2]], follow_symlinks=False)
        except FileNotFoundError:
            raise no_such_image() from None
        except OSError as error:
            if error.errno in UNLINKABLE:
                return False
            raise blobs_unavailable() from error
        return True

    async def close(self) -> None:
        await self._threads.close()
        while self._shards:
            os.close(self._shards.popitem()[1])

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        try:
            return await self._threads.run(work)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise blobs_unavailable() from error

    def _put(self, path: str, shard: int, key: str) -> int:
        # Not to wait, should it be a pipe; nor for a link to lead elsewhere.
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise tampered()
            if self._group is not None:
                share_file(file, self._group)
            found = os.fstat(file)
            if self._leasable and _frozen(file, found.st_mode) and self._link(file, path, shard, key):
                return _size_of(found, shard, key)
            return self._copy(file, shard, key)
        finally:
            os.close(file)

    def _link(self, file: int, path: str, shard: int, key: str) -> bool:
        """Sync a file and make what is at its path a blob; false where it is on another disk."""
        if self._sync:
            _sync(file)
        try:
            os.link(path, key, dst_dir_fd=shard, follow_symlinks=False)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            return False
        if self._sync:
            os.fsync(shard)
        return True

    def _copy(self, file: int, shard: int, key: str) -> int:
        """Store a copy of a file as a blob; returns its size."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        temporary = f"{key}.tmp"
        try:
            with (
                open(file, "rb", 0, closefd=False) as source,
                open(os.open(temporary, flags, BLOB, dir_fd=shard), "wb") as target,
            ):
                if self._group is not None:
                    share_file(target.fileno(), self._group)
                shutil.copyfileobj(source, target)
                target.flush()
                if self._sync:
                    _sync(target.fileno())
                size = target.tell()
            os.link(temporary, key, src_dir_fd=shard, dst_dir_fd=shard)
        finally:
            os.unlink(temporary, dir_fd=shard)
        if self._sync:
            os.fsync(shard)
        return size


def _size_of(file: os.stat_result, shard: int, key: str) -> int:
    """The size of a new blob. Raises Tampered, and takes it away, if it is not that file: its path led to another.

    Raises Fault("not_found") if somebody has deleted it already, as happens to a thumbnail whose image goes.
    """
    try:
        blob = os.stat(key, dir_fd=shard, follow_symlinks=False)
    except FileNotFoundError:
        raise no_such_image() from None
    if not os.path.samestat(file, blob):
        os.unlink(key, dir_fd=shard)
        raise tampered()
    return blob.st_size


def _sync(file: int) -> None:
    os.fsync(file)


def _kind(file: int) -> int:
    """What statfs(2) calls the file system that a file is on."""
    found = ctypes.create_string_buffer(256)  # struct statfs, which begins with the kind, is smaller
    if LIBC.fstatfs(file, found):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return ctypes.c_ulong.from_buffer(found).value


def _frozen(file: int, mode: int) -> bool:
    """Make a file that is open for reading immutable. False if the file system cannot guarantee that.

    Its mode stops new writers (workers cannot change modes). Raises Tampered if somebody has it open or mapped for
    writing: the kernel then refuses a read lease (fcntl(2), F_SETLEASE).
    """
    os.fchmod(file, mode & READABLE)
    try:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        if error.errno in REFUSED_LEASE:
            raise tampered() from error
        return False
    return True


def _read_cached(file: int, length: int, start: int) -> bytes | None:
    """Read what is in the page cache, in microseconds; None where the disk may have to be asked. preadv2(2)."""
    buffer = bytearray(length)
    try:
        read = os.preadv(file, [buffer], start, os.RWF_NOWAIT)
    except OSError as error:
        if error.errno not in {errno.EAGAIN, errno.EOPNOTSUPP}:
            raise
        return None
    return bytes(memoryview(buffer)[:read])


class _ShardListing:
    """One walk through a shard. A lock keeps `close` from a walk that a thread still is at when its caller has left."""

    def __init__(self, shard: str, folder: int) -> None:
        self._shard = shard
        self._lock = threading.Lock()
        # A descriptor of its own, as a position belongs to it: two may list at the same time.
        self._folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
        self._entries = os.scandir(self._folder)

    def batch(self) -> list[tuple[str, float]]:
        """The next files; none once all have been listed, or the listing is closed."""
        with self._lock:
            while entries := list(itertools.islice(self._entries, BATCH)):
                if listed := [found for entry in entries if (found := self._described(entry))]:
                    return listed
            return []

    def close(self) -> None:
        with self._lock:
            self._entries.close()
            os.close(self._folder)

    def _described(self, entry: os.DirEntry[str]) -> tuple[str, float] | None:
        """Nothing of what is not ours, or has been deleted meanwhile."""
        if not entry.name.startswith(self._shard):
            return None
        with contextlib.suppress(FileNotFoundError):
            found = entry.stat(follow_symlinks=False)
            return (entry.name, found.st_mtime) if stat.S_ISREG(found.st_mode) else None
        return None


class DiskBlob:
    """An open blob: the port Blob."""

    def __init__(
        self,
        file: int,
        read_at_once: Callable[[int, int, int], bytes | None],
        in_thread: Callable[[Callable[[], Any]], Awaitable[Any]],
    ) -> None:
        self._file: int | None = file
        self._read_at_once = read_at_once
        self._in_thread = in_thread
        self.size = os.fstat(file).st_size

    async def read(self, start: int, stop: int) -> AsyncIterator[bytes]:
        assert self._file is not None
        while start < stop:
            length = min(CHUNK, stop - start)
            try:
                chunk = self._read_at_once(self._file, length, start)
                if chunk is None:
                    chunk = await self._in_thread(functools.partial(os.pread, self._file, length, start))
            except OSError as error:
                raise blobs_unavailable() from error
            if not chunk:
                raise Fault("storage_unavailable", "The image's bytes end too early")
            start += len(chunk)
            yield chunk

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
