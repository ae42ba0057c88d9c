"""The result of walking a container: facts about the picture, and the ranges of its clean file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NoReturn

from iuserver.errors import Fault
from iuserver.imaging.source import Source, write_all

Range = tuple[int, int]
"""Bytes to be kept: from the first offset up to but not including the second."""
Piece = Range | bytes
"""A range of the input, or bytes that stand in its place."""


REMOVED = (
    "gps",
    "camera",
    "exif",
    "xmp",
    "iptc",
    "comment",
    "thumbnail",
    "c2pa",
    "text",
    "trailer",
    "other",
)
"""The kinds of what is left out of a picture. EXIF that tells of a place or a camera is of those kinds as well."""
COPIES = 16
"""As many pixels are copied in the time in which one is decoded."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a picture may ask of whoever decodes it."""

    max_side: int
    max_pixels: int
    max_total_pixels: int
    max_frames: int
    max_scans: int

    def check_frame(self, width: int, height: int) -> None:
        """Raises Fault("too_many_pixels"), naming the limit."""
        if max(width, height) > self.max_side:
            raise Fault("too_many_pixels", f"The image is {width} x {height} pixels; a side may have {self.max_side}")
        if width * height > self.max_pixels:
            raise Fault("too_many_pixels", f"The image has {width * height} pixels; {self.max_pixels} are allowed")

    def check_frames(self, frames: int, decoded: int, canvas: tuple[int, int] = (0, 0)) -> None:
        """Raises Fault: too_many_frames, too_many_pixels, naming the limit.

        `decoded` are the pixels of the frames' own rectangles. A viewer copies the canvas for each frame as well, which
        costs it COPIES times less a pixel.
        """
        if frames > self.max_frames:
            raise Fault("too_many_frames", f"The image has more than {self.max_frames} frames, which is the limit")
        if decoded + frames * canvas[0] * canvas[1] // COPIES > self.max_total_pixels:
            raise Fault("too_many_pixels", f"The frames have more than {self.max_total_pixels} pixels together")

    def check_scans(self, scans: int) -> None:
        """Raises Fault("too_many_scans")."""
        if scans > self.max_scans:
            raise Fault("too_many_scans", f"The image has more than {self.max_scans} scans, which is the limit")


@dataclass(frozen=True, slots=True)
class Rules:
    """What a worker goes by. `bake` turns the pixels of stills that are to be turned, up to `max_decode_pixels`."""

    limits: Limits
    bake: bool
    max_decode_pixels: int


@dataclass(frozen=True, slots=True)
class Doubt:
    """What only a decoder can tell of a JPEG: where its picture ends, and whether it looks the same without the junk.

    `data` is that of the last scan with all that may not belong to it, `before` what stands before it in the clean
    file. `bare` is that for a decoder that looks for the end, or None where scans are missing; `raw` what decoders have
    seen of the input, or None where the plan must not be carried out as it is.
    """

    data: Range
    before: tuple[Piece, ...]
    bare: tuple[Piece, ...] | None
    raw: tuple[Piece, ...] | None
    fault: Fault


@dataclass(frozen=True, slots=True)
class Plan:
    """A picture's stored size, the EXIF orientation (1-8) that browsers show, and its clean file piece by piece.

    `laid_out` are the sides before it is turned that browsers give it, where these are others than the stored size.
    `removed` has the kinds of REMOVED that are left out, `left_out` is by how many bytes that makes the file smaller.
    """

    mime: str
    ext: str
    width: int
    height: int
    frames: int
    orientation: int
    pieces: tuple[Piece, ...]
    doubt: Doubt | None = None
    laid_out: tuple[int, int] | None = None
    removed: frozenset[str] = frozenset()
    left_out: int = 0

    @property
    def size(self) -> int:
        """Bytes of the clean file."""
        return sum(len(piece) if isinstance(piece, bytes) else piece[1] - piece[0] for piece in self.pieces)

    @property
    def shown(self) -> tuple[int, int]:
        """Width and height as browsers show them: orientations 5 to 8 lie on their side."""
        width, height = self.laid_out or (self.width, self.height)
        return (height, width) if self.orientation >= 5 else (width, height)

    @property
    def prefix(self) -> int | None:
        """Where the clean file is just the beginning of the input: the beginning's length."""
        return self.size if len(self.pieces) == 1 and self.pieces[0] == (0, self.size) else None


def joined(pieces: Iterable[Piece | None]) -> tuple[Piece, ...]:
    """The pieces with neighbouring ranges made one, and None left out."""
    result: list[Piece] = []
    for piece in pieces:
        last = result[-1] if result else None
        if piece is None:
            continue
        if isinstance(piece, tuple) and isinstance(last, tuple) and last[1] == piece[0]:
            result[-1] = (last[0], piece[1])
        else:
            result.append(piece)
    return tuple(result)


def write(source: Source, pieces: Iterable[Piece], target: str) -> None:
    """Write pieces to the new file `target`; those of a file are copied inside the kernel."""
    file = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        for piece in pieces:
            if isinstance(piece, bytes):
                write_all(file, piece)
            else:
                source.copy(file, *piece)
    finally:
        os.close(file)


def broken(reason: str) -> NoReturn:
    """Refuse a file of a right type that is truncated or contradicts its specification."""
    raise broken_image(reason)


def broken_image(reason: str) -> Fault:
    """The fault of a file that is truncated or contradicts its specification."""
    return Fault("broken_image", f"The image is broken: {reason}")
