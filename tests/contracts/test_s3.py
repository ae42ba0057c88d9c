"""Blobs on S3, where it is unlike a disk: lost answers, servers that go away, uploads in parts, slow readers."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from iuserver.blobs import s3
from iuserver.blobs.s3 import S3Blobs
from iuserver.errors import Fault
from tests.contracts.conftest import LARGE
from tests.contracts.test_blobs import CONTENT, KEY, content, listed, refusal
from tests.s3_server import BUCKET, S3Server, connected, location

AWAY = "The image store is not available"


def on_s3(url: str, work: Callable[[S3Blobs], Awaitable[Any]]) -> Any:
    """Run work on a store that is opened for it and closed afterwards."""

    async def opened_for_it() -> Any:
        blobs = await connected(url)
        try:
            return await work(blobs)
        finally:
            await blobs.close()

    return asyncio.run(opened_for_it())


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "spooled"
    path.write_bytes(CONTENT)
    return str(path)


@contextlib.asynccontextmanager
async def losing(endpoint: str, request: bytes) -> AsyncIterator[str]:
    """A way to the server on which the answer to the first such request gets lost; its address."""
    host, port = endpoint.removeprefix("http://").split(":")
    armed = True
    connections = []

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(asyncio.current_task())
        upstream, sink = await asyncio.open_connection(host, int(port))
        seen = b""

        async def back() -> None:
            nonlocal armed
            while data := await upstream.read(65536):
                if armed and re.match(request, seen) and data.startswith(b"HTTP/1.1 200"):
                    armed = False
                    break
                writer.write(data)
            writer.close()
            sink.close()

        task = asyncio.create_task(back())
        while data := await reader.read(65536):
            seen = data if re.match(rb"[A-Z]+ /", data) else seen
            sink.write(data)
        sink.close()
        await task

    server = await asyncio.start_server(connection, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await asyncio.gather(*connections)
    assert not armed, "there was no such request"


async def unfinished(blobs: S3Blobs) -> list[str]:
    return [key for key in await listed(blobs) if key.endswith(".part")]


@pytest.mark.parametrize(("path", "lost"), [("file", rb"PUT "), ("large", rb"POST \S+uploadId="), ("large", rb"PUT ")])
def test_a_blob_whose_answer_was_lost_is_stored(
    s3_endpoint: str, request: pytest.FixtureRequest, path: str, lost: bytes
) -> None:
    file = request.getfixturevalue(path)

    async def work() -> None:
        async with losing(s3_endpoint, lost) as endpoint:
            blobs = await connected(location(endpoint))
            await blobs.put(KEY, file)
            assert await content(blobs, KEY) == Path(file).read_bytes()
            assert list(await listed(blobs)) == [KEY]
            await blobs.close()

    asyncio.run(work())


def test_a_blob_in_parts_is_never_overwritten_and_nothing_is_left_of_the_other(
    s3_url: str, file: str, large: str
) -> None:
    async def work(blobs: S3Blobs) -> None:
        await blobs.put(KEY, file)
        assert await refusal(blobs.put(KEY, large)) == "storage_unavailable"
        assert await content(blobs, KEY) == CONTENT
        assert list(await listed(blobs)) == [KEY]

    on_s3(s3_url, work)


def test_an_upload_in_parts_that_is_given_up_leaves_nothing(s3_url: str, large: str) -> None:
    async def work(blobs: S3Blobs) -> None:
        for moment in (
            "after-call.s3.CreateMultipartUpload",
            "before-send.s3.UploadPart",
            "after-call.s3.UploadPart",
            "before-send.s3.CompleteMultipartUpload",
        ):
            reached = asyncio.Event()
            blobs._client.meta.events.register(moment, lambda reached=reached, **_: reached.set())
            task = asyncio.create_task(blobs.put(KEY, large))
            await asyncio.wait_for(reached.wait(), 10)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            assert await unfinished(blobs) == []
            await blobs.delete(KEY)

    on_s3(s3_url, work)


def test_an_upload_in_parts_that_a_crash_left_is_listed_and_can_be_deleted(s3_url: str) -> None:
    async def work(blobs: S3Blobs) -> None:
        for _ in range(2):
            await blobs.request("create_multipart_upload", Key=blobs._prefix + KEY)
        before = await listed(blobs)
        assert list(before) == [f"{KEY}.part"]
        assert abs(before[f"{KEY}.part"] - time.time()) < 60
        assert await blobs.size(f"{KEY}.part") is not None
        await blobs.delete(f"{KEY}.part")
        assert await blobs.size(f"{KEY}.part") is None
        await blobs.delete(f"{KEY}.part")
        assert await listed(blobs) == {}

    on_s3(s3_url, work)


def test_what_is_not_ours_is_not_listed(s3_url: str, file: str) -> None:
    async def work(blobs: S3Blobs) -> None:
        await blobs.put(KEY, file)
        for name in ("notes.txt", f"folder/{KEY}", KEY.upper()):
            await blobs.request("put_object", Key=blobs._prefix + name, Body=b"an operator's")
        assert list(await listed(blobs)) == [KEY]

    on_s3(s3_url, work)


def test_more_keys_than_s3_tells_at_once_are_listed(s3_url: str, tmp_path: Path) -> None:
    keys = {f"{number:032x}" for number in range(1050)}
    (tmp_path / "x").write_bytes(b"x")

    async def work(blobs: S3Blobs) -> None:
        for start in range(0, len(keys), 25):
            await asyncio.gather(*(blobs.put(key, str(tmp_path / "x")) for key in sorted(keys)[start : start + 25]))
        assert set(await listed(blobs)) == keys

    on_s3(s3_url, work)


def test_a_large_blob_needs_little_memory_on_its_way_in_and_out(s3_url: str, large: str) -> None:
    async def work(blobs: S3Blobs) -> None:
        await blobs.put("00" * 16, large)  # what is made once is there by now
        tracemalloc.start()
        await blobs.put(KEY, large)
        blob = await blobs.open(KEY)
        read = 0
        async for chunk in blob.read(0, blob.size):
            read += len(chunk)
            await asyncio.sleep(0.001)  # a slow reader: S3 is faster
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        blob.close()
        assert read == LARGE
        assert peak < 3 * 1024 * 1024

    on_s3(s3_url, work)


def test_readers_that_stop_half_way_leave_their_connections_to_others(
    s3_url: str, large: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "CONNECTIONS", 2)
    monkeypatch.setattr(s3, "READERS", 1)
    monkeypatch.setattr(s3, "DEADLINE_SECONDS", 5.0)

    async def work(blobs: S3Blobs) -> None:
        await blobs.put(KEY, large)
        for _ in range(5):
            blob = await blobs.open(KEY)
            async for _chunk in blob.read(0, blob.size):
                break
            blob.close()
            (await blobs.open(KEY)).close()  # and who does not read at all
        assert await blobs.size(KEY) == LARGE

    on_s3(s3_url, work)


def test_readers_who_wait_for_a_place_are_told_in_time_and_hold_up_no_upload(
    s3_url: str, large: str, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "CONNECTIONS", 2)
    monkeypatch.setattr(s3, "READERS", 1)
    monkeypatch.setattr(s3, "DEADLINE_SECONDS", 2.0)

    async def work(blobs: S3Blobs) -> None:
        await blobs.put(KEY, large)
        blob = await blobs.open(KEY)
        assert await refusal(blobs.open(KEY)) == "storage_unavailable"
        await blobs.put("00" * 16, file)
        blob.close()
        (await blobs.open(KEY)).close()

    on_s3(s3_url, work)


def test_a_reader_who_stalls_gives_the_connection_back_and_can_go_on(
    s3_url: str, large: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "READERS", 1)
    monkeypatch.setattr(s3, "STALL_SECONDS", 0.05)

    async def work(blobs: S3Blobs) -> None:
        await blobs.put(KEY, large)
        blob = await blobs.open(KEY)
        reading = blob.read(0, blob.size)
        begun = await anext(reading)
        (await blobs.open(KEY)).close()  # waits until the one place is free
        rest = [chunk async for chunk in reading]
        blob.close()
        assert begun + b"".join(rest) == Path(large).read_bytes()

    on_s3(s3_url, work)


def test_a_missing_bucket_is_no_missing_blob(s3_endpoint: str, s3_url: str, file: str) -> None:
    """Or fsck --repair would take every picture for lost."""

    async def work(blobs: S3Blobs) -> None:
        blobs._bucket = "iuserver-nowhere"
        for attempt in (blobs.open(KEY), blobs.size(KEY), blobs.put(KEY, file), blobs.delete(KEY), listed(blobs)):
            with pytest.raises(Fault) as caught:
                await attempt
            assert (caught.value.code, caught.value.message) == ("storage_unavailable", AWAY)
            assert caught.value.__cause__ is not None
        with pytest.raises(Fault):
            await connected(f"s3://iuserver-nowhere?endpoint={s3_endpoint}")

    on_s3(s3_url, work)


def test_what_arrives_damaged_is_refused(s3_url: str, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Damaging(s3.Window):
        def readinto(self, buffer: Any, /) -> int:
            read = super().readinto(buffer)
            if read:
                buffer[0] ^= 1
            return read

    monkeypatch.setattr(s3, "Window", Damaging)

    async def work(blobs: S3Blobs) -> None:
        assert await refusal(blobs.put(KEY, file)) == "storage_unavailable"
        assert await listed(blobs) == {}

    on_s3(s3_url, work)


def test_a_server_that_is_away_is_told_within_seconds_and_one_that_is_back_is_used(
    own_s3: S3Server, file: str, large: str
) -> None:
    other = "00" * 16

    async def work(blobs: S3Blobs) -> None:
        await blobs.put(KEY, file)
        blob = await blobs.open(KEY)
        blob.close()
        own_s3.kill()
        begun = time.monotonic()
        attempts = (
            blobs.put(other, file),
            blobs.put(other, large),
            blobs.open(KEY),
            blobs.size(KEY),
            blobs.delete(KEY),
            listed(blobs),
        )
        assert await asyncio.gather(*map(refusal, attempts)) == ["storage_unavailable"] * 6
        assert time.monotonic() - begun < 10
        await asyncio.to_thread(own_s3.start)
        assert await content(blobs, KEY) == CONTENT
        await blobs.put(other, large)
        assert await blobs.size(other) == LARGE

    on_s3(location(own_s3.endpoint), work)


def test_a_server_that_dies_while_it_is_read_is_told(own_s3: S3Server, large: str) -> None:
    async def work(blobs: S3Blobs) -> None:
        await blobs.put(KEY, large)
        blob = await blobs.open(KEY)
        reading = blob.read(0, blob.size)
        await anext(reading)
        own_s3.kill()
        with pytest.raises(Fault) as caught:
            [chunk async for chunk in reading]
        assert caught.value.code == "storage_unavailable"
        blob.close()

    on_s3(location(own_s3.endpoint), work)


def test_a_presigned_url_is_good_for_anybody_and_has_the_headers(s3_url: str, file: str) -> None:
    async def work(blobs: S3Blobs) -> str:
        await blobs.put(KEY, file)
        return await blobs.presigned(KEY, 60, "image/png", 'inline; filename="a.png"', "public, max-age=9")

    url = on_s3(s3_url, work)
    assert f"/{BUCKET}/" in url
    answer = requests.get(url, timeout=10)
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["Content-Disposition"] == 'inline; filename="a.png"'
    assert answer.headers["Cache-Control"] == "public, max-age=9"
    assert "X-Amz-Expires=60" in url
