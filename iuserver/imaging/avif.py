"""AVIF, stills and sequences: walk every box, keep what makes the picture, and lay the file out anew.

Source: ISO/IEC 14496-12 (ISO base media files), ISO/IEC 23008-12 (HEIF), "AV1 Image File Format" v1.2.0.

Kept: ftyp with the brands that are known; meta with the items that the main picture needs; moov with the tracks
that make the sequence; of mdat the bytes of those items and samples. What of meta and moov is kept, stands in
avif_items and avif_tracks, which properties in avif_properties. The new file is always ftyp, meta, moov, mdat;
the offsets in meta and moov tell where the bytes are now. irot and imir stay, and nothing else turns the picture.
Everything else goes: Exif and XMP, uuid, udta, free, skip, unknown boxes, bytes between the items' bytes, and
every byte after the last box or from a second file's beginning on.

What this cannot see: what is inside the AV1 pictures (they are not decoded here), such as units of metadata or padding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from iuserver.imaging import avif_items, avif_tracks, left_out
from iuserver.imaging.boxes import MAX_BODY, Packing, Reader, box, top_boxes
from iuserver.imaging.plan import Limits, Plan, Range, broken, joined
from iuserver.imaging.source import Source

AVIF, AVIS = b"avif", b"avis"
OF_MOVIES = frozenset(b"avis msf1 isom iso2 iso3 iso4 iso5 iso6 iso7 iso8 iso9 isoa isob isoc mp41 mp42".split())
BRANDS = OF_MOVIES | frozenset(b"avif avio MA1A MA1B mif1 mif2 miaf pred tmap geo1 heic heix".split())
MAX_BRANDS = 64
MAX_SIZE = 1 << 32


@dataclass
class _Walk:
    """What has been seen so far."""

    brands: list[bytes] = field(default_factory=list)
    major: bytes = b""
    items: avif_items.Items | None = None
    movie: avif_tracks.Movie | None = None
    kinds: set[bytes] = field(default_factory=set)
    mdats: list[Range] = field(default_factory=list)
    removed: set[str] = field(default_factory=set)


def recognises(head: bytes) -> bool:
    """Whether a file that begins with these bytes, those of all its brands or all, says that it is an AVIF."""
    if head[4:8] != b"ftyp":
        return False
    brands = head[8 : min(len(head), int.from_bytes(head[:4], "big"))]
    return any(brands[at : at + 4] in (AVIF, AVIS) for at in range(0, len(brands), 4) if at != 4)


def walk(source: Source, limits: Limits) -> Plan:
    """Walk an AVIF to its end and plan its clean file. Raises Fault: broken_image, too_many_pixels, too_many_frames."""
    seen, stop = _Walk(), 0
    for kind, body in top_boxes(source, _BOXES):
        stop = body[1]
        if kind not in _BOXES:
            named = left_out.of_box(kind, source.at(body[0], min(body[1] - body[0], left_out.LOOKED_AT)))
            seen.removed |= {named} if named else set()
            continue
        if kind in seen.kinds and kind != b"mdat":
            broken("it has two boxes where there may be one")
        seen.kinds.add(kind)
        _BOXES[kind](source, seen, limits, body)
    seen.removed |= {"trailer"} if stop < source.size else set()
    return _plan(source, seen)


def _body(source: Source, body: Range) -> Reader:
    if body[1] - body[0] > MAX_BODY:
        broken("what it tells of its pictures is too long")
    return Reader(source.at(body[0], body[1] - body[0]))


# One function a kind of box: read it, check it, note what is kept of it.


def _ftyp(source: Source, seen: _Walk, limits: Limits, body: Range) -> None:
    """The major brand, its version, the compatible brands."""
    inner = _body(source, body)
    if inner.left % 4 or not 8 <= inner.left <= 4 * MAX_BRANDS:
        broken("its type is wrong")
    seen.brands = [inner.take(4) for _ in range(inner.left // 4)]
    del seen.brands[1]
    if AVIF not in seen.brands and AVIS not in seen.brands:
        broken("its type is wrong")


def _meta(source: Source, seen: _Walk, limits: Limits, body: Range) -> None:
    seen.items = avif_items.read(_body(source, body), source, limits)
    seen.removed |= seen.items.removed if seen.items else set()


def _moov(source: Source, seen: _Walk, limits: Limits, body: Range) -> None:
    seen.movie = avif_tracks.read(_body(source, body), limits)


def _mdat(source: Source, seen: _Walk, limits: Limits, body: Range) -> None:
    seen.mdats.append(body)


_BOXES: dict[bytes, Callable[[Source, _Walk, Limits, Range], None]] = {
    b"ftyp": _ftyp,
    b"meta": _meta,
    b"moov": _moov,
    b"mdat": _mdat,
}


def _plan(source: Source, seen: _Walk) -> Plan:
    _check_brands(seen)
    packing = Packing(extent for part in (seen.items, seen.movie) if part for extent in part.ranges)
    packing.check_within(seen.mdats)
    width, height, frames = _facts(seen)
    head = _head(seen, packing, 0)
    head = _head(seen, packing, len(head))
    same = source.at(0, len(head)) == head
    return Plan(
        "image/avif",
        "avif",
        width,
        height,
        frames,
        1,
        joined([(0, len(head)) if same else head, *packing.ranges]),
        removed=frozenset(seen.removed),
    )


def _check_brands(seen: _Walk) -> None:
    """Leave the brands that are known, and true: browsers open no file that lacks what its brands promise."""
    if not seen.brands:
        broken("it does not begin with its type")
    if not (seen.items or seen.movie) or (seen.brands[0] == AVIS and not seen.movie):
        broken("it has no picture in it")
    untrue = {brand for brand, there in _PROMISES.items() if not there(seen)}
    seen.major = seen.brands[0] if seen.brands[0] in BRANDS - untrue else AVIS if seen.movie else AVIF
    seen.brands = [brand for brand in dict.fromkeys(seen.brands[1:]) if brand in BRANDS - untrue]
    if not {AVIF, AVIS} & {seen.major, *seen.brands}:
        broken("its type promises a picture that it does not have")


_PROMISES: dict[bytes, Callable[[_Walk], bool]] = {
    **{brand: lambda seen: seen.movie is not None for brand in OF_MOVIES},
    AVIF: lambda seen: seen.items is not None,
    b"tmap": lambda seen: seen.items is not None and seen.items.has_tone_map,
}


def _facts(seen: _Walk) -> tuple[int, int, int]:
    """Width, height and frames of what viewers show: by the major brand, where a file has both."""
    if seen.movie and (seen.major != AVIF or not seen.items):
        return seen.movie.width, seen.movie.height, seen.movie.frames
    assert seen.items
    return seen.items.width, seen.items.height, 1


def _head(seen: _Walk, packing: Packing, start: int) -> bytes:
    """All that comes before the pictures' bytes when these start at `start`. Its length does not depend on that."""
    boxes = [box(b"ftyp", seen.major, bytes(4), *seen.brands)]
    if start + packing.size >= MAX_SIZE:
        broken("it is longer than 4 GiB")
    for part in (seen.items, seen.movie):
        if part:
            boxes.append(part.box(lambda offset: start + packing.place(offset)))
    if packing.size:
        boxes.append((8 + packing.size).to_bytes(4, "big") + b"mdat")
    return b"".join(boxes)
