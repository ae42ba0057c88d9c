"""Opens files that an agent names by path: pictures only, below the permitted folders."""

from __future__ import annotations

import os
import stat
from typing import BinaryIO, NamedTuple

MAX_FILE = 100 * 1024 * 1024


class Unreadable(Exception):
    """Why a file is not sent, in a sentence."""


class Picture(NamedTuple):
    """A file that may be sent: open, with its size, its name, and its type by its first bytes."""

    file: BinaryIO
    size: int
    name: str
    mime: str


def open_picture(path: object, roots: list[str]) -> Picture:
    """Open a file that may be sent: a regular one, within the roots where there are any, and a picture by its first
    bytes. Raises Unreadable."""
    if not isinstance(path, str) or not os.path.isabs(expanded := os.path.expanduser(path)):
        raise Unreadable("file_path must be an absolute path, or begin with ~")
    try:
        real = os.path.realpath(expanded, strict=True)
        if roots and not any(_is_within(real, os.path.realpath(os.path.expanduser(root))) for root in roots):
            raise Unreadable("file_path is outside of the folders that IMAGEUPLOAD_ROOTS allows")
        flags = ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY")  # a pipe must not be waited for
        descriptor = os.open(real, os.O_RDONLY | sum(getattr(os, flag, 0) for flag in flags))
    except (OSError, ValueError) as error:
        raise Unreadable(f"file_path cannot be read: {getattr(error, 'strerror', None) or 'no such file'}") from error
    try:
        size = _checked_size(os.fstat(descriptor))
        mime = _checked_type(os.pread(descriptor, 64, 0))
    except BaseException:
        os.close(descriptor)
        raise
    return Picture(os.fdopen(descriptor, "rb"), size, os.path.basename(expanded), mime)


def _is_within(path: str, root: str) -> bool:
    return os.path.commonpath([path, root]) == root


def _checked_size(status: os.stat_result) -> int:
    if not stat.S_ISREG(status.st_mode):
        raise Unreadable("file_path is not a file")
    if status.st_size > MAX_FILE:
        size = status.st_size / 1024**2
        raise Unreadable(f"The file has {size:.0f} MB, more than the {MAX_FILE // 1024**2} MB that are sent; resize it")
    return status.st_size


def _checked_type(head: bytes) -> str:
    mime = _mime(head)
    if mime is None:
        raise Unreadable("file_path is not a picture: only PNG, JPEG, WebP, GIF and AVIF files are sent")
    return mime


def _mime(head: bytes) -> str | None:
    """What a file is by its first bytes."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp" and (b"avif" in head[8:] or b"avis" in head[8:]):
        return "image/avif"
    return None
