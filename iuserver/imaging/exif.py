"""EXIF: reads what changes the layout, and builds a minimal TIFF structure that keeps it and nothing else.

Source: CIPA DC-008 (Exif 2.32), section 4.5 (TIFF 6.0 structure), tags 0x0112, 0x011A, 0x011B, 0x0128, 0x8769, 0xA002
and 0xA003.

Decoders differ: browsers accept only a SHORT of count 1, but in the Exif IFD as well as in IFD0; Pillow and libvips
accept every type of number, but in IFD0 alone; of two tags some take the first, others the last. So each orientation
tag stays in its IFD with its type and count, and every decoder treats the clean file as it did the original.

Browsers lay a JPEG out in the sides that EXIF tells where its resolution, of 72 dpi as one to one, makes the same sides
of those of the picture. Then the five tags that tell so stay as well.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

ORIENTATION, EXIF_IFD = 0x0112, 0x8769
FIRST_IFD = 4  # where the offset of the first directory stands
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT, WIDTH, HEIGHT = 0x011A, 0x011B, 0x0128, 0xA002, 0xA003
SHORT, LONG, RATIONAL = 3, 4, 5
DENSITY = {
    X_RESOLUTION: (RATIONAL,),
    Y_RESOLUTION: (RATIONAL,),
    RESOLUTION_UNIT: (SHORT,),
    WIDTH: (SHORT, LONG),
    HEIGHT: (SHORT, LONG),
}
"""The tags that tell a density, and the types that browsers take them in."""
INCH = 2  # the only unit that Chromium goes by
ONE_TO_ONE = 72  # dpi
FORMATS = {1: "B", SHORT: "H", LONG: "I", 6: "B", 8: "H", 9: "I", 13: "I"}
"""The types that some decoder turns a picture by (TIFF 6.0, section 2): unsigned, signed, and IFD."""
INLINE = 4  # values of more bytes are stored elsewhere; no browser heeds those
MAX_TAGS = 8  # of one IFD; there should be one


@dataclass(frozen=True, slots=True)
class Orientation:
    """The orientation (1-8) that browsers show, and the TIFF structure to be kept: empty where no decoder turns."""

    shown: int
    tiff: bytes


UPRIGHT = Orientation(1, b"")


@dataclass(frozen=True, slots=True)
class Layout:
    """How browsers lay out a JPEG: its orientation and its sides before they are turned. `tiff` is to be kept."""

    orientation: int
    sides: tuple[int, int]
    tiff: bytes


@dataclass(frozen=True, slots=True)
class _Tag:
    """A tag whose value stands in its entry. An orientation's is 0 where it is none of 1 to 8."""

    kind: int
    count: int
    value: int
    tag: int = ORIENTATION


@dataclass(frozen=True, slots=True)
class _Resolution:
    """A resolution: a RATIONAL, whose two numbers stand elsewhere."""

    tag: int
    number: int
    divisor: int


_Entry = _Tag | _Resolution | list[_Tag]
"""A tag, or the tags of the Exif IFD, which IFD0 points to."""


def read_layout(tiff: bytes, sides: tuple[int, int]) -> Layout:
    """What a TIFF structure tells of the layout of a JPEG with these sides."""
    shown, entries = _orientation(tiff)
    density = _density(tiff, sides)
    if density:
        sides = (density[WIDTH][0], density[HEIGHT][0])
        entries = _with_density(entries, density)
    return Layout(shown, sides, _structure(entries))


def read_orientation(tiff: bytes) -> Orientation:
    """What a TIFF structure tells of the orientation; UPRIGHT where it tells nothing, or is none."""
    shown, entries = _orientation(tiff)
    return Orientation(shown, _structure(entries))


def tags(tiff: bytes, pointer: int) -> Iterator[tuple[int, int]]:
    """Each tag of the directory whose offset stands at `pointer`, and where its value stands, or its offset."""
    order = _order(tiff)
    for tag, _, _, value in _raw_entries(tiff, order, pointer) if order else ():
        yield tag, value


def has_thumbnail(tiff: bytes) -> bool:
    """Whether a second directory follows the first: that of a thumbnail."""
    order = _order(tiff)
    if not order:
        return False
    (ifd,) = struct.unpack_from(order + "I", tiff, FIRST_IFD)
    (count,) = struct.unpack_from(order + "H", tiff, ifd) if ifd + 2 <= len(tiff) else (0,)
    link = tiff[ifd + 2 + 12 * count :][:4]
    return 0 < int.from_bytes(link, "little" if order == "<" else "big") < len(tiff) if count else False


def _orientation(tiff: bytes) -> tuple[int, list[_Entry]]:
    """The orientation that browsers show, and the entries to be kept: none where no decoder turns."""
    order = _order(tiff)
    entries = _read(tiff, order, FIRST_IFD) if order else []
    tags = [tag for entry in entries for tag in (entry if isinstance(entry, list) else [entry])]
    if all(tag.value <= 1 for tag in tags):
        return 1, []
    heeded = (tag.value for tag in tags if tag.value and (tag.kind, tag.count) == (SHORT, 1))
    return next(heeded, 1), [*entries]


def _order(tiff: bytes) -> str | None:
    """The byte order of a TIFF structure, or None where it is none."""
    return {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4]) if len(tiff) >= 8 else None


def _read(tiff: bytes, order: str, pointer: int, nested: bool = False) -> list[_Tag | list[_Tag]]:
    """The orientations of the IFD whose offset stands at `pointer`."""
    found: list[_Tag | list[_Tag]] = []
    below: list[_Tag | list[_Tag]] = []
    for tag, kind, count, value in _raw_entries(tiff, order, pointer):
        if tag == ORIENTATION and kind in FORMATS and len(found) < MAX_TAGS:
            found += _tag(tiff, order, kind, count, value)
        elif tag == EXIF_IFD and (kind, count) == (LONG, 1) and not (nested or below):
            below = _read(tiff, order, value, nested=True)
            found += [cast("list[_Tag]", below)] if below else []
    return found


def _raw_entries(tiff: bytes, order: str, pointer: int) -> Iterator[tuple[int, int, int, int]]:
    """Tag, type and count of each whole entry of an IFD, and the offset of its value field."""
    (ifd,) = struct.unpack_from(order + "I", tiff, pointer)
    if ifd + 2 > len(tiff):
        return
    (count,) = struct.unpack_from(order + "H", tiff, ifd)
    for entry in range(ifd + 2, min(ifd + 2 + 12 * count, len(tiff) - 11), 12):
        yield (*struct.unpack_from(order + "HHI", tiff, entry), entry + 8)


def _tag(tiff: bytes, order: str, kind: int, count: int, offset: int) -> Iterator[_Tag]:
    """The tag, if its values stand in its entry."""
    form = order + FORMATS[kind]
    if 1 <= count <= INLINE // struct.calcsize(form):
        (value,) = struct.unpack_from(form, tiff, offset)
        yield _Tag(kind, count, value if 1 <= value <= 8 else 0)


def _structure(entries: Sequence[_Entry]) -> bytes:
    """A TIFF structure of these entries; nothing where there are none."""
    return b"MM\0*" + struct.pack(">I", 8) + _written(entries, 8) if entries else b""


def _written(entries: Sequence[_Entry], start: int) -> bytes:
    """An IFD of these entries at the offset `start`, and behind it what they point to."""
    stop = start + 2 + 12 * len(entries) + 4
    ifd, below = struct.pack(">H", len(entries)), b""
    for entry in entries:
        if isinstance(entry, list):
            ifd += struct.pack(">HHII", EXIF_IFD, LONG, 1, stop + len(below))
            below += _written(entry, stop + len(below))
        elif isinstance(entry, _Resolution):
            ifd += struct.pack(">HHII", entry.tag, RATIONAL, 1, stop + len(below))
            below += struct.pack(">II", entry.number, entry.divisor)
        else:
            value = struct.pack(">" + FORMATS[entry.kind], entry.value)
            ifd += struct.pack(">HHI4s", entry.tag, entry.kind, entry.count, value)
    return ifd + bytes(4) + below


# The density.

_Density = dict[int, tuple[int, ...]]
"""The tags of DENSITY with their numbers: two of a RATIONAL, one of the others."""


def _density(tiff: bytes, sides: tuple[int, int]) -> _Density | None:
    """The density that browsers lay out a picture of these sides by, or None where it changes nothing."""
    found = _density_tags(tiff)
    if found.keys() != DENSITY.keys() or found[RESOLUTION_UNIT] != (INCH,) or not all(map(all, found.values())):
        return None
    told = (found[WIDTH][0], found[HEIGHT][0])
    wanted = tuple(map(_laid_out, sides, (found[X_RESOLUTION], found[Y_RESOLUTION])))
    return found if told == wanted != sides else None


def _laid_out(side: int, resolution: tuple[int, ...]) -> int:
    """The side divided by how many times 72 dpi the resolution is, rounded as Chromium does it."""
    number, divisor = resolution
    return int(_single(side * ONE_TO_ONE / _single(number / divisor)) + 0.5)


def _single(number: float) -> float:
    """The number in single precision (IEEE 754)."""
    return float(struct.unpack("f", struct.pack("f", number))[0])


def _density_tags(tiff: bytes) -> _Density:
    """The first tags of DENSITY of the right type and count, in IFD0 or the Exif IFD: those are what Chromium heeds."""
    order, found = _order(tiff), cast("_Density", {})
    pointers = [FIRST_IFD] if order else []
    for pointer in pointers:  # that of the Exif IFD is added meanwhile
        for tag, kind, count, value in _raw_entries(tiff, str(order), pointer):
            if kind in DENSITY.get(tag, ()) and count == 1 and tag not in found:
                found[tag] = _numbers(tiff, str(order), kind, value)
            elif tag == EXIF_IFD and (kind, count) == (LONG, 1) and len(pointers) == 1:
                pointers.append(value)
    return found


def _numbers(tiff: bytes, order: str, kind: int, offset: int) -> tuple[int, ...]:
    """The numbers of a tag; zeros where a RATIONAL is outside of the structure."""
    if kind != RATIONAL:
        return struct.unpack_from(order + FORMATS[kind], tiff, offset)
    (elsewhere,) = struct.unpack_from(order + "I", tiff, offset)
    return struct.unpack_from(order + "II", tiff, elsewhere) if elsewhere + 8 <= len(tiff) else (0, 0)


def _with_density(entries: Sequence[_Entry], density: _Density) -> list[_Entry]:
    """The entries with those of the density, each in its IFD."""
    unit = _Tag(SHORT, 1, INCH, RESOLUTION_UNIT)
    resolutions = [_Resolution(tag, *_reduced(*density[tag])) for tag in (X_RESOLUTION, Y_RESOLUTION)]
    sides = [_Tag(LONG, 1, density[tag][0], tag) for tag in (WIDTH, HEIGHT)]
    place = next((place for place, entry in enumerate(entries) if isinstance(entry, list)), len(entries))
    orientations = [tag for entry in entries[place : place + 1] if isinstance(entry, list) for tag in entry]
    return [*entries[:place], *resolutions, unit, [*orientations, *sides], *entries[place + 1 :]]


def _reduced(number: int, divisor: int) -> tuple[int, int]:
    return Fraction(number, divisor).as_integer_ratio()
