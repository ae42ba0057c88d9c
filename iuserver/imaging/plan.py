"""What a walk through a container yields: facts, and the list of pieces that make the clean file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NoReturn

from iuserver.errors import Fault

Range = tuple[int, int]
"""Bytes to be kept: from the first offset up to but not including the second."""
Piece = Range | bytes
"""A range of the input, or bytes that stand in its place."""


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
class Plan:
    """A picture's stored size, the EXIF orientation (1-8) that browsers show, and its clean file piece by piece."""

    mime: str
    ext: str
    width: int
    height: int
    frames: int
    orientation: int
    pieces: tuple[Piece, ...]

    @property
    def size(self) -> int:
        """Bytes of the clean file."""
        return sum(len(piece) if isinstance(piece, bytes) else piece[1] - piece[0] for piece in self.pieces)

    @property
    def shown(self) -> tuple[int, int]:
        """Width and height as browsers show them: orientations 5 to 8 lie on their side."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)

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


def broken(reason: str) -> NoReturn:
    """Refuse a file of a right type that is truncated or contradicts its specification."""
    raise Fault("broken_image", f"The image is broken: {reason}")
