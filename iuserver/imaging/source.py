"""Reads untrusted files in windows, so that only a few megabytes are ever in memory."""

from __future__ import annotations

import mmap
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

WINDOW = 4 * 1024 * 1024


class Source:
    """Bytes in memory, or a file under a memory map whose pages are given back once they have been passed."""

    def __init__(self, data: bytes | mmap.mmap, file: int | None = None) -> None:
        self._data = data
        self._file = file
        self._passed = 0
        self.size = len(data)

    def at(self, start: int, length: int) -> bytes:
        """Up to `length` bytes from `start`; fewer at the end of the input."""
        self._pass(start)
        return self._data[start : start + length]

    def search(self, pattern: re.Pattern[bytes], start: int) -> int:
        """Where a pattern of exactly two bytes first matches at or after `start`, or -1."""
        for begin, end in self._windows(start, self.size):
            match = pattern.search(self._data, begin, min(end + 1, self.size))
            if match:
                return match.start()
        return -1

    def crc32(self, start: int, stop: int) -> int:
        """The CRC-32 (ISO 3309) of the bytes from `start` up to `stop`."""
        crc = 0
        view = memoryview(self._data)
        try:
            for begin, end in self._windows(start, stop):
                with view[begin:end] as part:
                    crc = zlib.crc32(part, crc)
        finally:
            view.release()
        return crc

    def copy(self, target: int, start: int, stop: int) -> None:
        """Append the bytes from `start` up to `stop` to the file descriptor `target`; from a file, in the kernel."""
        if self._file is None:
            with memoryview(self._data) as view, view[start:stop] as part:
                write_all(target, part)
            return
        while start < stop:
            copied = os.copy_file_range(self._file, target, stop - start, offset_src=start)
            if copied == 0:
                raise EOFError("the input became shorter while it was read")
            start += copied

    def _windows(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        for begin in range(start, stop, WINDOW):
            if begin > start:
                self._forget(begin - WINDOW, begin)
            yield begin, min(begin + WINDOW, stop)

    def _pass(self, position: int) -> None:
        if position - self._passed >= WINDOW:
            self._forget(self._passed, position)
            self._passed = position

    def _forget(self, start: int, stop: int) -> None:
        """Give the pages of a range back; whoever looks there again has them read again."""
        if isinstance(self._data, mmap.mmap):
            start, stop = (offset // mmap.PAGESIZE * mmap.PAGESIZE for offset in (start, stop))
            self._data.madvise(mmap.MADV_DONTNEED, start, stop - start)


def write_all(file: int, data: bytes | memoryview) -> None:
    """Write every byte, however many calls it takes."""
    with memoryview(data) as view:
        written = 0
        while written < len(view):
            written += os.write(file, view[written:])


@contextmanager
def opened(origin: bytes | str) -> Iterator[Source]:
    """The Source over bytes in memory or over a file, open for the length of the block."""
    if isinstance(origin, bytes):
        yield Source(origin)
        return
    file = os.open(origin, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with mmap.mmap(file, 0, prot=mmap.PROT_READ) as mapped:
            yield Source(mapped, file)
    finally:
        os.close(file)
