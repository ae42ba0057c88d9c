"""JPEG: the cases in which the walk is uncertain where the picture ends, and what a decoder is asked then.

Source: ITU-T T.81 annex G for progressive scans; for Samsung's trailer only sample files and exiftool.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from iuserver.imaging.plan import Doubt, Piece, Range, broken_image, joined
from iuserver.imaging.source import Source

BASELINE, EXTENDED, PROGRESSIVE = b"\xc0", b"\xc1", b"\xc2"
SPECTRAL_SELECTION = frozenset({PROGRESSIVE, b"\xc6", b"\xca", b"\xce"})
"""The frames whose scans bring a part of the coefficients, or of their bits: all that are progressive."""
COEFFICIENTS = 64
MAX_DIRECTORY = MAX_PADDING = 64 * 1024
PADDING = b"\0\t\n\r "
KNOWN_BEHIND = re.compile(rb"\0*(\xff\xd8\xff|.{1,3}ftyp)", re.DOTALL)
"""The next picture of several (CIPA DC-007), a gain map among them, or the video of a motion photo."""

CUT_SHORT = "it is cut short: the end of its picture data is missing"
DAMAGED = "its picture data is damaged, or it cannot be told where it ends"


@dataclass
class Coded:
    """The picture itself: tables, the frame header, of each scan its header and its data. `data` is the last scan's.

    `missing` tells of each component's coefficients whether any bit is to come. `redrawn` is set where decoders draw a
    further scan over this whole picture.
    """

    frame_header: Range = (0, 0)
    progressive: bool = False
    scans: list[Range] = field(default_factory=list)
    data: Range | None = None
    pieces: list[Range] = field(default_factory=list)
    missing: dict[int, bytearray] = field(default_factory=dict)
    in_first_scan: int = 0
    redrawn: bool = False

    def begin_frame(self, source: Source, header: Range) -> None:
        """Note the frame header, whose length is right."""
        self.frame_header = header
        self.progressive = source.at(header[0] + 1, 1) in SPECTRAL_SELECTION
        components = source.at(header[0] + 10, header[1] - header[0] - 10)[::3]
        self.missing = {component: bytearray(b"\1" * COEFFICIENTS) for component in components}
        self.pieces.append(header)

    def begin_scan(self, header: Range, body: bytes) -> None:
        """Note a scan header, whose length is right, and what of the coefficients the scan brings (T.81, G.1.1.1)."""
        first, last, approximation = body[-3:] if self.progressive else (0, COEFFICIENTS - 1, 0)
        count = max(0, min(last, COEFFICIENTS - 1) + 1 - first)
        for component in body[1:-3:2]:
            self.missing.get(component, bytearray())[first : first + count] = bytes([approximation & 15]) * count
        self.in_first_scan = self.in_first_scan or body[0]
        self.scans.append(header)
        self.pieces.append(header)

    def before_it_is_redrawn(self) -> Coded:
        """What there is by now, as the whole picture."""
        return replace(self, scans=[*self.scans], pieces=[*self.pieces], redrawn=True)

    @property
    def complete(self) -> bool:
        """Whether the scans bring every bit of every coefficient of all components."""
        return not any(map(any, self.missing.values()))

    @property
    def one_scan(self) -> bool:
        """Whether decoders need the first scan alone, so that they look at no other (jdinput.c, initial_setup)."""
        return not self.progressive and self.in_first_scan == (self.frame_header[1] - self.frame_header[0] - 10) // 3


def ends_at(source: Source, position: int) -> bool:
    """Whether nothing or something of a known kind is there: else an EOI before it may be a chance one in a trailer."""
    behind = source.at(position, MAX_PADDING)
    if KNOWN_BEHIND.match(behind):
        return True
    padded = not behind.strip(PADDING) and position + len(behind) == source.size
    return padded or _samsung_trailer(source) == position


def doubt_of(
    source: Source, coded: Coded, metadata: Sequence[Piece | None], colours: Sequence[Piece | None], ended: bool
) -> Doubt:
    """What a decoder is to settle. `colours` is what of the metadata it needs; `ended` whether the end is sure."""
    assert coded.data
    start, stop = coded.data
    trailer = _samsung_trailer(source)
    if trailer and start < trailer < stop:
        stop = trailer
    before = coded.pieces[: coded.pieces.index(coded.data)]
    first = coded.scans[0]
    raw = [*colours, *before[: before.index(first)], (first[0], source.size)]
    return Doubt(
        data=(start, stop),
        before=joined([*metadata, *before]),
        bare=joined(_bare(source, coded, before)) if _end_can_be_found(source, coded) else None,
        raw=joined(raw) if ended else None,
        fault=broken_image(CUT_SHORT if stop == source.size else DAMAGED),
    )


def _bare(source: Source, coded: Coded, before: list[Range]) -> Iterator[Piece]:
    """The coded data alone, made so that libjpeg reads it to its end, and complains of that end or of nothing.

    libjpeg looks for what follows the only scan once it has shown all lines, when libvips does not listen any more.
    With a component that is in no scan it reads on to EOI first (jdinput.c, initial_setup).
    """
    yield (0, 2)
    for piece in before:
        if piece == coded.frame_header and not coded.progressive:
            yield _with_idle_components(source.at(piece[0], piece[1] - piece[0]))
        elif piece in coded.scans and not coded.progressive:
            yield source.at(piece[0], piece[1] - piece[0] - 3) + b"\0\x3f\0"  # some cameras write other limits there
        else:
            yield piece


def _with_idle_components(header: bytes) -> bytes:
    """A frame header with so many more components that libjpeg knows what colours they could make."""
    count, components = header[9], header[10:]
    unused = [number for number in range(256) if number not in components[::3]]
    more = unused[: 2 if count == 1 else 1]
    body = header[4:9] + bytes([count + len(more)]) + components + b"".join(bytes([name, 0x11, 0]) for name in more)
    return header[:2] + (len(body) + 2).to_bytes(2, "big") + body


def _end_can_be_found(source: Source, coded: Coded) -> bool:
    """Whether libjpeg reports what the last scan lacks, and nothing behind that scan changes the picture."""
    kind = source.at(coded.frame_header[0] + 1, 1)
    return kind in (BASELINE, EXTENDED, PROGRESSIVE) and coded.complete and not coded.redrawn


def _samsung_trailer(source: Source) -> int | None:
    """Where the trailer of a Samsung camera begins: its directory, SEFH, tells how far before it each entry is."""
    length = int.from_bytes(source.at(source.size - 8, 4), "little")
    directory = source.size - 8 - length
    if source.at(source.size - 4, 4) != b"SEFT" or directory <= 0 or length > MAX_DIRECTORY:
        return None
    entries = source.at(directory, length)
    if entries[:4] != b"SEFH":
        return None
    distances = [int.from_bytes(entries[at + 4 : at + 8], "little") for at in range(12, len(entries) - 11, 12)]
    return directory - max(distances, default=0)
