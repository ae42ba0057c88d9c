"""The port BlobStore: what every implementation must do. Real files, and a real S3 server."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import hashlib
import mmap
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from iuserver.blobs import disk, s3
from iuserver.blobs.disk import DiskBlobs
from iuserver.errors import Fault, Tampered
from iuserver.ports import BlobStore, thumbnail_key, thumbnailed
from tests.contracts.conftest import LARGE
from tests.s3_server import connected

KEY = "ab" + "0" * 30
CONTENT = bytes(range(256)) * 4000  # a megabyte: several chunks

Work = Callable[[BlobStore], Awaitable[Any]]


@pytest.fixture(params=["disk", "disk, not synced", "s3"])
def on_blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Work], Any]:
    """Runs work on a store that is opened for it and closed afterwards."""
    url = request.getfixturevalue("s3_url") if request.param == "s3" else None

    async def opened() -> BlobStore:
        return await connected(url) if url else DiskBlobs(tmp_path / "blobs", sync=request.param == "disk")

    def run(work: Work) -> Any:
        async def opened_for_it() -> Any:
            blobs = await opened()
            try:
                return await work(blobs)
            finally:
                await blobs.close()

        return asyncio.run(opened_for_it())

    return run


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "spooled"
    path.write_bytes(CONTENT)
    return str(path)


async def content(blobs: BlobStore, key: str, start: int = 0, stop: int | None = None) -> bytes:
    blob = await blobs.open(key)
    try:
        return b"".join([chunk async for chunk in blob.read(start, blob.size if stop is None else stop)])
    finally:
        blob.close()
        blob.close()


async def refusal(work: Awaitable[Any]) -> str:
    with pytest.raises(Fault) as caught:
        await work
    return caught.value.code


def test_what_was_put_can_be_read_in_whole_and_in_part(on_blobs: Callable[[Work], Any], file: str) -> None:
    assert on_blobs(lambda blobs: blobs.put(KEY, file)) == len(CONTENT)
    assert on_blobs(lambda blobs: content(blobs, KEY)) == CONTENT
    assert on_blobs(lambda blobs: content(blobs, KEY, 300_001, 900_002)) == CONTENT[300_001:900_002]
    assert on_blobs(lambda blobs: content(blobs, KEY, 5, 5)) == b""


def test_a_key_is_never_overwritten(on_blobs: Callable[[Work], Any], file: str, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"other")

    async def work(blobs: BlobStore) -> None:
        await blobs.put(KEY, file)
        assert await refusal(blobs.put(KEY, str(other))) == "storage_unavailable"
        assert await content(blobs, KEY) == CONTENT

    on_blobs(work)


def test_what_is_not_there_is_not_found_and_deleting_it_is_no_error(on_blobs: Callable[[Work], Any]) -> None:
    async def work(blobs: BlobStore) -> None:
        assert await refusal(blobs.open(KEY)) == "not_found"
        assert await blobs.size(KEY) is None
        await blobs.delete(KEY)

    on_blobs(work)


def test_the_size_is_known_without_opening(on_blobs: Callable[[Work], Any], file: str) -> None:
    async def work(blobs: BlobStore) -> None:
        await blobs.put(KEY, file)
        assert await blobs.size(KEY) == len(CONTENT)

    on_blobs(work)


def test_the_chunks_of_a_large_blob_are_small(on_blobs: Callable[[Work], Any], large: str) -> None:
    async def work(blobs: BlobStore) -> None:
        await blobs.put(KEY, large)
        assert await blobs.size(KEY) == LARGE
        blob = await blobs.open(KEY)
        sizes, digest = [], hashlib.sha256()
        async for chunk in blob.read(0, blob.size):
            sizes.append(len(chunk))
            digest.update(chunk)
        blob.close()
        assert sum(sizes) == LARGE
        assert max(sizes) <= 256 * 1024
        assert digest.digest() == hashlib.sha256(Path(large).read_bytes()).digest()
        middle = await content(blobs, KEY, LARGE // 2 - 5, LARGE // 2 + 5)
        assert middle == Path(large).read_bytes()[LARGE // 2 - 5 : LARGE // 2 + 5]

    on_blobs(work)


def test_a_blob_may_be_read_in_any_order_and_left_at_any_place(on_blobs: Callable[[Work], Any], file: str) -> None:
    async def work(blobs: BlobStore) -> None:
        await blobs.put(KEY, file)
        blob = await blobs.open(KEY)
        for start, stop in ((0, 100_000), (100_000, 100_001), (7, 300_000), (900_000, len(CONTENT)), (0, len(CONTENT))):
            assert b"".join([chunk async for chunk in blob.read(start, stop)]) == CONTENT[start:stop]
        async for chunk in blob.read(0, blob.size):
            assert CONTENT.startswith(chunk)
            break
        blob.close()

    on_blobs(work)


def test_a_deleted_blob_is_gone_but_stays_readable_for_whoever_has_it_open(
    on_blobs: Callable[[Work], Any], file: str
) -> None:
    async def work(blobs: BlobStore) -> None:
        await blobs.put(KEY, file)
        blob = await blobs.open(KEY)
        await blobs.delete(KEY)
        assert await refusal(blobs.open(KEY)) == "not_found"
        assert b"".join([chunk async for chunk in blob.read(0, blob.size)]) == CONTENT
        blob.close()

    on_blobs(work)


def test_many_puts_at_once_all_arrive(on_blobs: Callable[[Work], Any], tmp_path: Path) -> None:
    keys = [f"{number:02x}" + f"{number:030x}" for number in range(60)]

    async def put(blobs: BlobStore, key: str) -> None:
        path = tmp_path / key
        path.write_bytes(key.encode())
        await blobs.put(key, str(path))

    async def work(blobs: BlobStore) -> None:
        await asyncio.gather(*(put(blobs, key) for key in keys))
        for key in keys:
            assert await content(blobs, key) == key.encode()

    on_blobs(work)


def test_a_spool_on_another_disk_is_copied(tmp_path: Path) -> None:
    """Only where the machine has a second file system to try it on."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is one file system only")

    async def work() -> None:
        blobs = DiskBlobs(tmp_path / "blobs")
        elsewhere = memory / f"iuserver-test-{tmp_path.name}"
        elsewhere.write_bytes(CONTENT)
        try:
            await blobs.put(KEY, str(elsewhere))
            assert await content(blobs, KEY) == CONTENT
        finally:
            elsewhere.unlink()
            await blobs.close()
        assert [path.name for path in (tmp_path / "blobs" / KEY[:2]).iterdir()] == [KEY]

    asyncio.run(work())


@contextlib.contextmanager
def open_for_writing(path: str) -> Iterator[None]:
    file = os.open(path, os.O_WRONLY)
    try:
        yield
    finally:
        os.close(file)


@contextlib.contextmanager
def mapped_for_writing(path: str) -> Iterator[None]:
    """Not by Python's mmap, which keeps the file open."""
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    file = os.open(path, os.O_RDWR)
    address = libc.mmap(None, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, file, 0)
    os.close(file)
    try:
        yield
    finally:
        libc.munmap(address, mmap.PAGESIZE)


Held = Callable[[str], contextlib.AbstractContextManager[None]]


@pytest.mark.parametrize("held", [open_for_writing, mapped_for_writing])
@pytest.mark.parametrize("sync", [True, False])
def test_what_somebody_can_still_write_to_is_not_stored(file: str, tmp_path: Path, held: Held, sync: bool) -> None:
    async def work() -> None:
        blobs = DiskBlobs(tmp_path / "blobs", sync)
        with held(file), pytest.raises(Tampered):
            await blobs.put(KEY, file)
        assert await listed(blobs) == {}
        assert await blobs.put(KEY, file) == len(CONTENT)
        assert (tmp_path / "blobs" / KEY[:2] / KEY).stat().st_mode & 0o222 == 0
        await blobs.close()

    asyncio.run(work())


def test_a_file_that_is_replaced_while_it_is_stored_is_not(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"other")
    monkeypatch.setattr(disk, "_frozen", lambda *_: os.rename(other, file) is None)

    async def work() -> None:
        blobs = DiskBlobs(tmp_path / "blobs")
        with pytest.raises(Tampered):
            await blobs.put(KEY, file)
        assert await listed(blobs) == {}
        await blobs.close()

    asyncio.run(work())


def test_a_blob_that_is_deleted_while_it_is_put_is_not_found(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def link_and_lose(path: str, key: str, *, dst_dir_fd: int, follow_symlinks: bool) -> None:
        link(path, key, dst_dir_fd=dst_dir_fd, follow_symlinks=follow_symlinks)
        os.unlink(key, dir_fd=dst_dir_fd)

    async def work() -> None:
        blobs = DiskBlobs(tmp_path / "blobs")
        monkeypatch.setattr(disk.os, "link", link_and_lose)
        with pytest.raises(Fault) as caught:
            await blobs.put(KEY, file)
        assert caught.value.code == "not_found"
        assert await blobs.size(KEY) is None
        await blobs.close()

    asyncio.run(work())


def test_where_a_file_system_does_not_tell_of_writers_bytes_are_copied(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "LEASABLE", set())

    async def work() -> None:
        blobs = DiskBlobs(tmp_path / "blobs")
        with mapped_for_writing(file):
            assert await blobs.put(KEY, file) == len(CONTENT)
        os.truncate(file, 0)
        assert await content(blobs, KEY) == CONTENT
        assert await listed(blobs) == {KEY: pytest.approx(time.time(), abs=60)}
        assert (tmp_path / "blobs" / KEY[:2] / KEY).stat().st_mode & 0o222 == 0
        await blobs.close()

    asyncio.run(work())


@pytest.mark.parametrize("cached", ["nothing", "some", "unknown"])
def test_what_is_not_in_the_page_cache_is_read_as_well(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cached: str
) -> None:
    """The kernel says that it would have to wait, reads a part, or does not know the flag, as on NFS."""
    monkeypatch.setattr(disk, "TMPFS", 0)

    def preadv(file: int, buffers: list[bytearray], start: int, flags: int) -> int:
        assert flags == os.RWF_NOWAIT
        if cached == "some":
            part = os.pread(file, min(1000, len(buffers[0])), start)
            buffers[0][: len(part)] = part
            return len(part)
        raise OSError(errno.EAGAIN if cached == "nothing" else errno.EOPNOTSUPP, "not now")

    monkeypatch.setattr(disk.os, "preadv", preadv)

    async def work() -> None:
        blobs = DiskBlobs(tmp_path / "blobs")
        await blobs.put(KEY, file)
        assert await content(blobs, KEY) == CONTENT
        assert await content(blobs, KEY, 5, len(CONTENT) - 5) == CONTENT[5:-5]
        await blobs.close()

    asyncio.run(work())


def test_only_a_plain_file_is_stored(file: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(file)
    os.mkfifo(tmp_path / "pipe")

    async def work() -> None:
        blobs = DiskBlobs(tmp_path / "blobs")
        for name in ("link", "pipe", "blobs", "nothing"):
            with contextlib.suppress(FileNotFoundError):
                assert await refusal(blobs.put(KEY, str(tmp_path / name))) == "storage_unavailable"
        assert await listed(blobs) == {}
        await blobs.close()

    asyncio.run(work())


async def listed(blobs: BlobStore) -> dict[str, float]:
    return {key: modified async for key, modified in blobs.listing()}


def test_the_listing_tells_every_key_and_when_it_was_written(
    on_blobs: Callable[[Work], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "BATCH", 3)
    monkeypatch.setattr(s3, "PAGE", 3)
    keys = [f"{number % 2:02x}{number:030x}" for number in range(20)]

    async def work(blobs: BlobStore) -> None:
        assert await listed(blobs) == {}
        for key in keys:
            (tmp_path / key).write_bytes(b"x")
            await blobs.put(key, str(tmp_path / key))
        found = await listed(blobs)
        assert sorted(found) == sorted(keys)
        assert all(abs(modified - time.time()) < 60 for modified in found.values())
        assert await asyncio.gather(listed(blobs), listed(blobs)) == [found] * 2

    on_blobs(work)


def test_blobs_may_be_deleted_while_they_are_listed(on_blobs: Callable[[Work], Any], tmp_path: Path) -> None:
    keys = [f"ab{number:030x}" for number in range(20)]

    async def work(blobs: BlobStore) -> None:
        for key in keys:
            (tmp_path / key).write_bytes(b"x")
            await blobs.put(key, str(tmp_path / key))
        async for key, _ in blobs.listing():
            for other in keys:
                await blobs.delete(other)
            assert key in keys
        assert await listed(blobs) == {}

    on_blobs(work)


def test_a_thumbnail_is_a_blob_beside_its_image(on_blobs: Callable[[Work], Any], file: str, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.write_bytes(b"a thumbnail")
    key = thumbnail_key(KEY)

    async def work(blobs: BlobStore) -> None:
        await blobs.put(KEY, file)
        await blobs.put(key, str(small))
        assert set(await listed(blobs)) == {KEY, key}
        assert [thumbnailed(found) for found in (KEY, key, f"{key}.tmp")] == [None, KEY, None]
        await blobs.delete(key)
        assert await blobs.size(key) is None
        assert await content(blobs, KEY) == CONTENT

    on_blobs(work)


def test_a_listing_may_be_left_at_any_moment(on_blobs: Callable[[Work], Any], file: str) -> None:
    async def work(blobs: BlobStore) -> None:
        await blobs.put(KEY, file)
        for moment in range(30):
            task = asyncio.create_task(listed(blobs))
            for _ in range(moment):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        assert list(await listed(blobs)) == [KEY]

    on_blobs(work)


def test_what_a_crash_left_half_made_is_listed_and_what_is_not_ours_is_not(tmp_path: Path) -> None:
    async def work() -> None:
        blobs = DiskBlobs(tmp_path)
        (tmp_path / "ab" / f"{KEY}.tmp").write_bytes(b"half")
        (tmp_path / "ab" / "notes.txt").write_bytes(b"an operator's")
        (tmp_path / "ab" / "abfolder").mkdir()
        assert list(await listed(blobs)) == [f"{KEY}.tmp"]
        await blobs.delete(f"{KEY}.tmp")
        assert await listed(blobs) == {}
        await blobs.close()

    asyncio.run(work())
