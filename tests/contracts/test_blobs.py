"""The port BlobStore: what every implementation must do. Real files."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from iuserver.blobs.disk import DiskBlobs
from iuserver.errors import Fault
from iuserver.ports import BlobStore

KEY = "ab" + "0" * 30
CONTENT = bytes(range(256)) * 4000  # a megabyte: several chunks

Work = Callable[[BlobStore], Awaitable[Any]]


@pytest.fixture(params=["disk", "disk, not synced"])
def on_blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Work], Any]:
    """Runs work on a store that is opened for it and closed afterwards."""

    def run(work: Work) -> Any:
        async def opened_for_it() -> Any:
            blobs = DiskBlobs(tmp_path / "blobs", sync=request.param == "disk")
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
    on_blobs(lambda blobs: blobs.put(KEY, file))
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
        await blobs.delete(KEY)

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
