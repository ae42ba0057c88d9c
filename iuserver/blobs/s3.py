"""Blobs as objects of an S3 bucket, `PREFIX/KEY`, written once and never overwritten.

Every object is sent with `If-None-Match: *` and the SHA-256 of its bytes, which S3 checks before it stores them. Larger
objects are multipart uploads, one part after the other, and appear all at once. Each request takes one or two
milliseconds on the event loop, mostly to build and sign it, so there are few.

The only home of aioboto3 and its dependencies; their errors do not leave this module.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import io
import os
import re
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aioboto3
import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession, get_session
from botocore.exceptions import BotoCoreError, ClientError
from botocore.utils import parse_timestamp

from iuserver.errors import Fault, blobs_unavailable, no_such_image
from iuserver.records import MB

CHUNK = 256 * 1024
PART = 8 * MB
"""S3 wants at least 5 MiB. A part that fails is sent again alone."""
PAGE = 200
"""Objects listed per request: parsing takes 20 µs each on the event loop, and every request is billed."""
CONNECTIONS = 128
READERS = 96
"""Of these, so many are for pictures that are being looked at: slow viewers never hold up an upload."""
STALL_SECONDS = 15.0
"""A viewer who takes nothing for so long gives the connection back; where they go on after all, it is a new one."""
CONNECT_SECONDS = 2.0
"""S3 is near, or it is away."""
ANSWER_SECONDS = 8.0
"""From the end of what is sent to the answer, and between two pieces of it; S3 wants a second where it is slow."""
ATTEMPTS = 3
"""With botocore's random waits of up to 1 s and 2 s: outlives a restart of S3, and still fails within seconds."""
DEADLINE_SECONDS = 30.0
"""For one request with all its attempts: a part on a line of 300 KB/s gets through, what hangs is given up."""
HALF_MADE = ".part"
"""What the uploads in parts of a key that were never finished are listed as."""
_OURS = re.compile(r"[0-9a-f]{32}(\.[a-z]+)?")
_MARK = "iuserver"
"""The metadata by which our object is recognized under its key; not every S3 returns checksums."""
_DONE_ALREADY = {"PreconditionFailed", "ConditionalRequestConflict", "NoSuchUpload"}
"""The answers to the second attempt at something whose first one was done, or is being done."""


class S3Blobs:
    """The port BlobStore on S3, and the ability to presign. One client for as long as it is open."""

    def __init__(self, client: Any, bucket: str, prefix: str, closing: contextlib.AsyncExitStack) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._closing = closing
        self._aborting: set[asyncio.Task[None]] = set()
        self.readers = asyncio.Semaphore(READERS)

    @classmethod
    async def connect(cls, bucket: str, prefix: str, endpoint: str | None, region: str | None) -> S3Blobs:
        """Open a bucket, with the credentials that AWS' own tools would take.

        Raises Fault("storage_unavailable") where it cannot be listed: away, not there, or not ours.
        """
        async with contextlib.AsyncExitStack() as stack:
            with _vendor_errors():
                # An endpoint of one's own seldom has a name for every bucket.
                config = _config("path" if endpoint else "auto")
                session = aioboto3.Session(region_name=region, botocore_session=_quick_session())
                client = await stack.enter_async_context(session.client("s3", endpoint_url=endpoint, config=config))
            blobs = cls(client, bucket, prefix, stack)
            await blobs.check()
            blobs._closing = stack.pop_all()
            return blobs

    async def check(self) -> None:
        """Raises Fault("storage_unavailable") where the bucket cannot be listed."""
        await self.request("list_objects_v2", Prefix=self._prefix, MaxKeys=1)

    async def put(self, key: str, path: str) -> int:
        with _vendor_errors():
            parts = await asyncio.to_thread(_parts_of, path)
        try:
            if len(parts) > 1:
                await self._put_in_parts(key, path, parts)
            else:
                await self._put_whole(self._prefix + key, path, parts)
        except Fault as fault:
            if not (_code(fault) in _DONE_ALREADY and await self._holds(key, parts)):
                raise blobs_unavailable() from fault.__cause__
        return sum(part.size for part in parts)

    async def open(self, key: str) -> S3Blob:
        blob = S3Blob(self, key)
        await blob.fetch()
        return blob

    async def size(self, key: str) -> int | None:
        if key.endswith(HALF_MADE):
            return 0 if await self._unfinished(key.removesuffix(HALF_MADE)) else None
        found = await self._head(key)
        return None if found is None else int(found["ContentLength"])

    async def delete(self, key: str) -> None:
        if key.endswith(HALF_MADE):
            await self._abort(key.removesuffix(HALF_MADE))
        else:
            await self.request("delete_object", Key=self._prefix + key)

    async def listing(self) -> AsyncIterator[tuple[str, float]]:
        async for found in self._objects():
            if key := self._key_of(found):
                yield key, found["LastModified"].timestamp()
        async for found in self._uploads(self._prefix):
            if key := self._key_of(found):
                yield key + HALF_MADE, found["Initiated"].timestamp()

    async def close(self) -> None:
        await asyncio.gather(*self._aborting)
        await self._closing.aclose()

    async def presigned(self, key: str, seconds: int, mime: str, disposition: str, caching: str) -> str:
        parameters = {
            "Bucket": self._bucket,
            "Key": self._prefix + key,
            "ResponseContentType": mime,
            "ResponseContentDisposition": disposition,
            "ResponseCacheControl": caching,
        }
        with _vendor_errors():
            return str(await self._client.generate_presigned_url("get_object", parameters, seconds))

    async def get(self, key: str, **parameters: Any) -> dict[str, Any]:
        """Begin to read an object. Raises Fault("not_found")."""
        return await self.request("get_object", Key=self._prefix + key, **parameters)

    async def request(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Ask S3 for something in the bucket. Raises Fault: not_found, storage_unavailable."""
        with _vendor_errors():
            async with asyncio.timeout(DEADLINE_SECONDS):
                answer: dict[str, Any] = await getattr(self._client, operation)(Bucket=self._bucket, **parameters)
                return answer

    # What is there

    async def _head(self, key: str) -> dict[str, Any] | None:
        try:
            return await self.request("head_object", Key=self._prefix + key)
        except Fault as fault:
            if _code(fault) != "404":
                raise
        await self.check()  # a HEAD response has no body that would distinguish a missing object from a missing bucket
        return None

    async def _holds(self, key: str, parts: list[Part]) -> bool:
        """Whether an object is the one of these parts: stored by an attempt whose answer was lost."""
        found = await self._head(key) or {}
        size = sum(part.size for part in parts)
        return bool(found.get("ContentLength") == size and found["Metadata"] == _mark(parts))

    def _objects(self) -> AsyncIterator[dict[str, Any]]:
        # With the delimiter, folders of somebody else below the prefix are passed over as a whole.
        parameters = {"Prefix": self._prefix, "Delimiter": "/", "MaxKeys": PAGE}
        return self._pages("list_objects_v2", "Contents", ("ContinuationToken",), parameters)

    def _uploads(self, prefix: str) -> AsyncIterator[dict[str, Any]]:
        """The uploads in parts that have not been finished."""
        parameters = {"Prefix": prefix, "Delimiter": "/", "MaxUploads": PAGE}
        return self._pages("list_multipart_uploads", "Uploads", ("KeyMarker", "UploadIdMarker"), parameters)

    async def _pages(
        self, operation: str, items: str, markers: tuple[str, ...], parameters: dict[str, Any]
    ) -> AsyncIterator[dict[str, Any]]:
        while True:
            page = await self.request(operation, **parameters)
            for item in page.get(items, ()):
                yield item
            if not page.get("IsTruncated"):
                return
            parameters = parameters | {marker: page[f"Next{marker}"] for marker in markers}

    def _key_of(self, found: dict[str, Any]) -> str | None:
        """Nothing of what is not ours."""
        key: str = found["Key"].removeprefix(self._prefix)
        return key if _OURS.fullmatch(key) else None

    # Uploads

    async def _put_whole(self, name: str, path: str, parts: list[Part]) -> None:
        await self._send("put_object", path, parts[0], Key=name, IfNoneMatch="*", Metadata=_mark(parts))

    async def _put_in_parts(self, key: str, path: str, parts: list[Part]) -> None:
        try:
            await self._send_parts(self._prefix + key, path, parts)
        except BaseException:
            # Also where the caller leaves: S3 keeps the parts of an upload without an end, and wants them paid.
            task = asyncio.create_task(self._abort_if_possible(key))
            self._aborting.add(task)
            task.add_done_callback(self._aborting.discard)
            await asyncio.shield(task)
            raise

    async def _send_parts(self, name: str, path: str, parts: list[Part]) -> None:
        begun = await self.request(
            "create_multipart_upload", Key=name, ChecksumAlgorithm="SHA256", Metadata=_mark(parts)
        )
        upload = {"Key": name, "UploadId": begun["UploadId"]}
        sent = []
        for number, part in enumerate(parts, 1):
            answer = await self._send("upload_part", path, part, **upload, PartNumber=number)
            sent.append({"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": part.checksum})
        await self.request("complete_multipart_upload", **upload, MultipartUpload={"Parts": sent}, IfNoneMatch="*")

    async def _send(self, operation: str, path: str, part: Part, **parameters: Any) -> dict[str, Any]:
        with _vendor_errors(), Window(path, part.start, part.size) as body:
            return await self.request(operation, **parameters, Body=body, ChecksumSHA256=part.checksum)

    async def _abort_if_possible(self, key: str) -> None:
        with contextlib.suppress(Fault):  # else the janitor will
            await self._abort(key)

    async def _abort(self, key: str) -> None:
        for upload in await self._unfinished(key):
            try:
                await self.request("abort_multipart_upload", Key=self._prefix + key, UploadId=upload)
            except Fault as fault:
                if _code(fault) != "NoSuchUpload":  # somebody else was faster
                    raise

    async def _unfinished(self, key: str) -> list[str]:
        name = self._prefix + key
        return [found["UploadId"] async for found in self._uploads(name) if found["Key"] == name]


class S3Blob:
    """An open blob: the port Blob. Its first bytes are on their way when it is opened, and so is the rest.

    S3 goes on sending an object that is deleted meanwhile. Reads that do not start at 0, or that resume after a long
    pause, need a new request, and the object must still exist.
    """

    size: int

    def __init__(self, store: S3Blobs, key: str) -> None:
        self._store = store
        self._key = key
        self._version: dict[str, str] = {}
        self._body: Any = None
        self._at = 0
        self._end = 0
        self._has_place = False
        self._closed = False

    async def fetch(self) -> None:
        """Begin to read the whole, and learn its size. Raises Fault: not_found, storage_unavailable."""
        answer = await self._begin({})
        self.size = self._end = int(answer["ContentLength"])
        self._version = {"IfMatch": answer["ETag"]}

    async def read(self, start: int, stop: int) -> AsyncIterator[bytes]:
        while start < stop:
            assert not self._closed
            if self._body is None or self._at != start:
                await self._begin({"Range": f"bytes={start}-{stop - 1}", **self._version})
                self._at, self._end = start, stop
            chunk = await self._next(stop - start)
            start += len(chunk)
            stall = asyncio.get_running_loop().call_later(STALL_SECONDS, self._let_go)
            try:
                yield chunk
            finally:
                stall.cancel()

    def close(self) -> None:
        self._closed = True
        self._let_go()

    async def _begin(self, parameters: dict[str, str]) -> dict[str, Any]:
        self._let_go()
        with _vendor_errors():
            async with asyncio.timeout(DEADLINE_SECONDS):
                await self._store.readers.acquire()
        self._has_place = True
        try:
            answer = await self._store.get(self._key, **parameters)
        except BaseException:
            self._let_go()
            raise
        self._body = answer["Body"]
        return answer

    async def _next(self, wanted: int) -> bytes:
        with _vendor_errors():
            chunk: bytes = await self._body.read(min(CHUNK, wanted))
        if not chunk:
            raise blobs_unavailable()
        self._at += len(chunk)
        if self._at == self._end:
            self._let_go()
        return chunk

    def _let_go(self) -> None:
        """Give the connection back, or end it where more would come; safe to repeat."""
        if self._body is not None:
            self._body.release()
            self._body = None
        if self._has_place:
            self._has_place = False
            self._store.readers.release()


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a file, and the SHA-256 of its bytes."""

    start: int
    size: int
    digest: bytes

    @property
    def checksum(self) -> str:
        """The hash as S3 writes it."""
        return base64.b64encode(self.digest).decode()


class Window(io.RawIOBase):
    """A stretch of a file as a file of its own: the client measures and rewinds it, and reads it in threads.

    A lock keeps `close` from a thread that still reads when its caller has left.
    """

    def __init__(self, path: str, start: int, size: int) -> None:
        self._lock = threading.Lock()
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._start = start
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        with self._lock:
            self._checkClosed()
            wanted = memoryview(buffer)[: max(0, self._size - self._at)]
            read = os.preadv(self._file, [wanted], self._start + self._at) if wanted else 0
            self._at += read
            return read

    def close(self) -> None:
        with self._lock:
            if not self.closed:
                os.close(self._file)
            super().close()


def _parts_of(path: str) -> list[Part]:
    """A file's parts, in order; at least one. Raises OSError."""
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        starts = range(0, max(size, 1), PART)
        return [Part(start, min(PART, size - start), _sha256(file, min(PART, size - start))) for start in starts]


def _sha256(file: io.FileIO, size: int) -> bytes:
    """The hash of a file's next bytes."""
    digest = hashlib.sha256()
    while size:
        chunk = file.read(min(CHUNK, size))
        if not chunk:
            raise OSError("The file is shorter than it was")
        digest.update(chunk)
        size -= len(chunk)
    return digest.digest()


def _mark(parts: list[Part]) -> dict[str, str]:
    """The metadata of an object of these parts: a hash of their hashes."""
    return {_MARK: hashlib.sha256(b"".join(part.digest for part in parts)).hexdigest()}


def _quick_session() -> AioSession:
    """A session that takes a tenth of the time to read a time, which was most of a listing's cost."""
    session = get_session()
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_time)
    return session


def _time(value: Any) -> datetime:
    """A time as S3's bodies have it (ISO 8601), as headers do (RFC 9110), or any other that botocore knows."""
    with contextlib.suppress(ValueError, TypeError):
        return datetime.fromisoformat(value)
    with contextlib.suppress(ValueError, TypeError):
        return parsedate_to_datetime(value)
    parsed: datetime = parse_timestamp(value)
    return parsed


def _config(addressing: str) -> AioConfig:
    # The bytes' SHA-256 travels in a signed header of its own: to hash them for the signature, on the loop, would add
    # nothing. Other checksums, too, are botocore's only where S3 insists.
    return AioConfig(
        signature_version="s3v4",
        connect_timeout=CONNECT_SECONDS,
        read_timeout=ANSWER_SECONDS,
        max_pool_connections=CONNECTIONS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": addressing, "payload_signing_enabled": False},
    )


@contextlib.contextmanager
def _vendor_errors() -> Iterator[None]:
    """The border: no error of the client's passes, but as the cause of a Fault."""
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchKey":
            raise no_such_image() from error
        raise blobs_unavailable() from error
    except (BotoCoreError, aiohttp.ClientError, TimeoutError, OSError) as error:
        raise blobs_unavailable() from error


def _code(fault: Fault) -> str | None:
    """S3's error code behind a Fault."""
    error = fault.__cause__
    return error.response["Error"]["Code"] if isinstance(error, ClientError) else None
