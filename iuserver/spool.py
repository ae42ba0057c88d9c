"""The spool: temporary storage of a body being received, in memory at first, then in a file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from iuserver.errors import Fault
from iuserver.ports import BlobStore


@contextlib.contextmanager
def storage() -> Iterator[None]:
    """What is done with files in the spool. Raises Fault("storage_unavailable") where that fails."""
    try:
        yield
    except OSError as error:
        raise Fault("storage_unavailable", "The server cannot store the file at the moment") from error


class Spool:
    """Takes chunks, counts them, and hands over what came.

    Up to `memory` bytes stay in memory; `path` is the file's path once one is needed.
    """

    def __init__(self, path: str, memory: int) -> None:
        self.path = path
        self._memory = memory
        self.size = 0
        self._chunks: list[bytes] | None = []
        self._file: int | None = None

    def write(self, chunk: bytes) -> None:
        """Append a chunk."""
        self.size += len(chunk)
        if self._chunks is not None:
            self._chunks.append(chunk)
            if self.size > self._memory:
                self._move_to_file()
        else:
            self._append(chunk)

    def _move_to_file(self) -> None:
        assert self._chunks is not None
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._file = os.open(self.path, flags, 0o600)
        chunks, self._chunks = self._chunks, None
        for chunk in chunks:
            self._append(chunk)

    def _append(self, chunk: bytes) -> None:
        assert self._file is not None
        written = os.write(self._file, chunk)
        while written < len(chunk):
            written += os.write(self._file, chunk[written:])

    def contents(self) -> bytes | str:
        """What came: the bytes themselves, or the file that holds them. Nothing can be written afterwards."""
        if self._chunks is not None:
            return b"".join(self._chunks)
        self._close()
        return self.path

    def discard(self) -> None:
        """Forget what came; safe to call twice."""
        self._close()
        if self._chunks is None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
        self._chunks = []

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


async def fetch(blobs: BlobStore, key: str, spool: Spool) -> None:
    """Copy a blob to the spool, for a worker: none reads what is stored, or could change it. Raises Fault."""
    with contextlib.closing(await blobs.open(key)) as blob:
        async for chunk in blob.read(0, blob.size):
            with storage():
                spool.write(chunk)
