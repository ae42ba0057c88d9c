"""AVIF: the tracks of a sequence, and a movie box rewritten for the picture and alpha tracks alone.

Source: ISO/IEC 14496-12 section 8 for the boxes of a movie, ISO/IEC 23008-12 (HEIF) section 7 for image sequences,
"AV1 Codec ISO Media File Format Binding" 2.2 for the sample entry.

Kept: mvhd; of the first picture track that is no thumbnail, and of its alpha track, tkhd, edts, tref (auxl, prem),
mdhd, hdlr, stsd with one av01 entry, stts, ctts, stss, sdtp, stsc, stsz, stco. The times of creation and of change,
the language, the names of handlers and of the compressor are emptied; vmhd and dinf are written anew.
Everything else goes: other tracks, meta boxes in a movie or a track (Exif and XMP of a sequence), udta, sample
groups, unknown boxes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice, pairwise

from iuserver.imaging.avif_properties import Property, clean, shown
from iuserver.imaging.boxes import Place, Reader, box, check_apart, full_box, handler, part, uints
from iuserver.imaging.plan import Limits, Range, broken

MAX_TRACKS = 16
MAX_LINKS = 16
MAX_EDITS = 8
UNDETERMINED = 0x55C4
DPI = 0x00480000
ASIDE = {b"auxl", b"thmb"}

# What a sample entry may have in it besides its fixed fields.
ENTRY = (b"av1C", b"colr", b"pasp", b"clap", b"irot", b"imir", b"ccst", b"auxi", b"clli", b"mdcv", b"cclv", b"amve")

ENTRY_HEAD = uints(2, 0, 0, 0, 1) + bytes(16)
MEDIA_HEADER = full_box(b"vmhd", bytes(8), flags=1)
DATA_HERE = box(b"dinf", full_box(b"dref", uints(4, 1), full_box(b"url ", flags=1)))


@dataclass(frozen=True, slots=True)
class _Track:
    """What a track says of itself, the boxes in it, and those in its mdia."""

    number: int
    handler: bytes
    size: tuple[int, int]
    header: bytes
    links: dict[bytes, list[int]]
    parts: dict[bytes, Reader]
    media: dict[bytes, Reader]


@dataclass(frozen=True, slots=True)
class _Entry:
    """The sample entry: the pictures' coded size, what else it says of them, and the clean stsd box."""

    size: tuple[int, int]
    properties: list[Property]
    is_alpha: bool
    stsd: bytes


@dataclass(frozen=True, slots=True)
class _Opened:
    """A track with its sample tables, of which the first, the sample entry, has been read."""

    track: _Track
    tables: dict[bytes, Reader]
    entry: _Entry


@dataclass(frozen=True, slots=True)
class _Kept:
    """A track as it will be, but for where its chunks come to lie, which the last of its boxes tells."""

    size: tuple[int, int]
    frames: int
    ranges: list[Range]
    trak: bytes
    mdia: bytes
    stbl: bytes
    chunks: list[int]

    def box(self, place: Place) -> bytes:
        stco = full_box(b"stco", uints(4, len(self.chunks), *map(place, self.chunks)))
        minf = box(b"minf", MEDIA_HEADER, DATA_HERE, box(b"stbl", self.stbl, stco))
        return box(b"trak", self.trak, box(b"mdia", self.mdia, minf))


@dataclass(frozen=True, slots=True)
class Movie:
    """The tracks that are kept: the picture's size as a viewer shows it, its frames, all samples, the movie box."""

    width: int
    height: int
    frames: int
    ranges: tuple[Range, ...]
    _header: bytes
    _tracks: tuple[_Kept, ...]

    def box(self, place: Place) -> bytes:
        """The movie box. Its length is the same wherever the samples come to lie."""
        return box(b"moov", self._header, *(track.box(place) for track in self._tracks))


def read(body: Reader, limits: Limits) -> Movie | None:
    """Read a movie box and keep its picture. None where it has none. Raises Fault."""
    movie = [(kind, inner) for kind, inner in body.children() if kind in (b"mvhd", b"trak")]
    if len(movie) > MAX_TRACKS:
        broken("it has too many tracks")
    headers = [_movie_header(inner) for kind, inner in movie if kind == b"mvhd"]
    tracks = [_track(inner) for kind, inner in movie if kind == b"trak"]
    picture = next((track for track in tracks if not track.links.keys() & ASIDE and _is_av1(track)), None)
    if not picture:
        return None
    if len(headers) != 1 or len({track.number for track in tracks}) != len(tracks):
        broken("its tracks are wrong")
    chosen = [_opened(picture), *_alpha(tracks, picture)]
    kept = tuple(_keep(opened, [other.track.number for other in chosen], limits) for opened in chosen)
    ranges = [sample for track in kept for sample in track.ranges]
    return Movie(*kept[0].size, kept[0].frames, tuple(ranges), headers[0], kept)


def _movie_header(body: Reader) -> bytes:
    version, _ = body.full(0, 1)
    wide = 8 if version else 4
    body.take(2 * wide)
    timing, rate = body.take(4 + wide), body.take(6)
    body.take(10)
    matrix = body.take(36)
    body.take(24)
    following = body.take(4)
    body.end()
    times, reserved, unused = bytes(2 * wide), bytes(10), bytes(24)
    return full_box(b"mvhd", times, timing, rate, reserved, matrix, unused, following, version=version)


# A track: what it says of itself.


def _track(body: Reader) -> _Track:
    parts = body.parts(b"tkhd", b"edts", b"tref", b"mdia")
    media = part(parts, b"mdia").parts(b"mdhd", b"hdlr", b"minf")
    number, size, header = _track_header(part(parts, b"tkhd"))
    links = _links(parts[b"tref"]) if b"tref" in parts else {}
    return _Track(number, _handler(part(media, b"hdlr")), size, header, links, parts, media)


def _track_header(body: Reader) -> tuple[int, tuple[int, int], bytes]:
    version, flags = body.full(0, 1)
    wide = 8 if version else 4
    body.take(2 * wide)
    number = body.take(4)
    body.take(4)
    duration = body.take(wide)
    body.take(8)
    layer = body.take(6)
    body.take(2)
    matrix, width, height = body.take(36), body.take(4), body.take(4)
    body.end()
    fields = [bytes(2 * wide), number, bytes(4), duration, bytes(8), layer, bytes(2), matrix, width, height]
    size = (int.from_bytes(width[:2], "big"), int.from_bytes(height[:2], "big"))
    return int.from_bytes(number, "big"), size, full_box(b"tkhd", *fields, version=version, flags=flags & 15)


def _handler(body: Reader) -> bytes:
    body.full(0)
    body.take(4)
    return body.take(4)


def _links(body: Reader) -> dict[bytes, list[int]]:
    """The tracks that a track refers to, by the kind of reference."""
    links: dict[bytes, list[int]] = {}
    for kind, inner in body.parts(b"auxl", b"prem", b"thmb").items():
        if inner.left > 4 * MAX_LINKS:
            broken("a track refers to too many others")
        links[kind] = [inner.uint(4) for _ in range(inner.left // 4)]
        inner.end()
    return links


def _alpha(tracks: list[_Track], picture: _Track) -> list[_Opened]:
    """The track of the alpha plane, if there is one."""
    opened = (_opened(track) for track in tracks if picture.number in track.links.get(b"auxl", ()))
    return list(islice((alpha for alpha in opened if alpha.entry.is_alpha), 1))


def _is_av1(track: _Track) -> bool:
    """Whether a track is one of AV1 pictures. Browsers do not look at its handler."""
    parts = part(track.media, b"minf").again().parts(b"stbl")
    entries = part(part(parts, b"stbl").parts(b"stsd"), b"stsd")
    entries.take(8)
    return next((kind for kind, _ in entries.children()), b"") == b"av01"


# A track that is kept.


def _opened(track: _Track) -> _Opened:
    parts = part(track.media, b"minf").parts(b"dinf", b"stbl")
    if b"dinf" in parts:
        _check_data_is_here(part(parts[b"dinf"].parts(b"dref"), b"dref"))
    tables = part(parts, b"stbl").parts(*TABLES)
    return _Opened(track, tables, _entry(part(tables, b"stsd")))


def _check_data_is_here(references: Reader) -> None:
    """The pictures may be in this file alone: entries that say so have their first flag set, and no address."""
    references.full(0)
    references.take(4)
    if any(kind != b"url " or inner.full(0)[1] != 1 for kind, inner in references.children()):
        broken("its pictures are in another file")


def _keep(opened: _Opened, numbers: list[int], limits: Limits) -> _Kept:
    track, tables, entry = opened.track, opened.tables, opened.entry
    limits.check_frame(*track.size)
    limits.check_frame(*entry.size)
    if not all(track.size + entry.size):
        broken("a track has no size")
    sizes, stsz = _sizes(tables, max(track.size[0] * track.size[1], entry.size[0] * entry.size[1]), limits)
    chunks = _chunks(tables, len(sizes))
    counts, stsc = _chunk_sizes(part(tables, b"stsc"), len(chunks))
    ranges = _ranges(sizes, chunks, counts)
    part(tables, b"stts")
    timing = [box(kind, check(tables[kind], len(sizes))) for kind, check in _TIMING.items() if kind in tables]
    edits = _edits(track.parts[b"edts"]) if b"edts" in track.parts else b""
    head = _media_header(part(track.media, b"mdhd")) + handler(b"auxv" if track.links.keys() & ASIDE else b"pict")
    return _Kept(
        size=shown(*track.size, entry.properties),
        frames=len(sizes),
        ranges=ranges,
        trak=track.header + edits + _tref(track, numbers),
        mdia=head,
        stbl=entry.stsd + b"".join(timing) + stsc + stsz,
        chunks=chunks,
    )


def _tref(track: _Track, numbers: list[int]) -> bytes:
    links = {kind: [n for n in track.links.get(kind, ()) if n in numbers] for kind in (b"auxl", b"prem")}
    boxes = [box(kind, uints(4, *targets)) for kind, targets in links.items() if targets]
    return box(b"tref", *boxes) if boxes else b""


def _edits(body: Reader) -> bytes:
    elst = part(body.parts(b"elst"), b"elst")
    version, flags = elst.full(0, 1)
    count = elst.count(4, MAX_EDITS)
    edits = elst.take(count * (20 if version else 12))
    elst.end()
    return box(b"edts", full_box(b"elst", uints(4, count), edits, version=version, flags=flags & 1))


def _media_header(body: Reader) -> bytes:
    version, _ = body.full(0, 1)
    wide = 8 if version else 4
    body.take(2 * wide)
    timing = body.take(4 + wide)
    body.take(4)
    body.end()
    return full_box(b"mdhd", bytes(2 * wide), timing, uints(2, UNDETERMINED, 0), version=version)


def _entry(body: Reader) -> _Entry:
    """The one sample entry. Its fixed fields are written anew but for the picture's size."""
    body.full(0)
    entries = list(body.children()) if body.uint(4) == 1 else []
    if len(entries) != 1 or entries[0][0] != b"av01":
        broken("its pictures are coded in a way that is not supported")
    inner = entries[0][1]
    inner.take(24)
    size = (inner.uint(2), inner.uint(2))
    inner.take(50)
    properties, is_alpha = _entry_properties(inner)
    fixed = uints(2, *size) + uints(4, DPI, DPI, 0) + uints(2, 1) + bytes(32) + uints(2, 0x18, 0xFFFF)
    entry = box(b"av01", ENTRY_HEAD, fixed, *(box(kind, value) for kind, value in properties))
    return _Entry(size, properties, is_alpha, full_box(b"stsd", uints(4, 1), entry))


def _entry_properties(body: Reader) -> tuple[list[Property], bool]:
    """What a sample entry says besides its fixed fields, and whether that leaves it to be an alpha plane.

    An auxiliary track that does not say what it adds, adds that: so do those of early writers.
    """
    said = [(kind, clean(kind, inner)) for kind, inner in body.children() if kind in ENTRY]
    found = [(kind, value) for kind, value in said if value is not None]
    kinds = [kind for kind, _ in found if kind != b"colr"]
    if b"av1C" not in kinds or len(set(kinds)) != len(kinds):
        broken("its AV1 configuration is wrong")
    return found, (b"auxi", None) not in said


# The samples: how long they are, which are together, where.


def _sizes(tables: dict[bytes, Reader], pixels: int, limits: Limits) -> tuple[list[int], bytes]:
    if b"stsz" in tables:
        body, bits = tables[b"stsz"], 32
        body.full(0)
        same = body.uint(4)
    else:
        body, same = part(tables, b"stz2"), 0
        body.full(0)
        bits = body.uint(4) & 0xFF
    count = body.uint(4)
    limits.check_frames(count, count * pixels)
    sizes = [same] * count if same else _numbers(body, count, bits)
    body.end()
    return sizes, full_box(b"stsz", uints(4, same, count), b"" if same else uints(4, *sizes))


def _numbers(body: Reader, count: int, bits: int) -> list[int]:
    if bits not in (4, 8, 16, 32):
        broken("the sizes of its pictures are wrong")
    if bits == 4:
        pairs = body.take((count + 1) // 2)
        return [number for pair in pairs for number in (pair >> 4, pair & 15)][:count]
    return [body.uint(bits // 8) for _ in range(count)]


def _chunks(tables: dict[bytes, Reader], limit: int) -> list[int]:
    kind, size = (b"co64", 8) if b"co64" in tables else (b"stco", 4)
    if b"co64" in tables and b"stco" in tables:
        broken("its pictures are in two places")
    body = part(tables, kind)
    body.full(0)
    chunks = [body.uint(size) for _ in range(body.count(4, limit))]
    body.end()
    return chunks


def _chunk_sizes(body: Reader, chunks: int) -> tuple[list[int], bytes]:
    """How many samples there are in each chunk, told in runs: the number of the first chunk of a run, the samples."""
    body.full(0)
    runs = [(body.uint(4), body.uint(4), body.uint(4)) for _ in range(body.count(4, chunks))]
    body.end()
    firsts = [first for first, _, _ in runs]
    if firsts[:1] != [1] or sorted(set(firsts)) != firsts or firsts[-1] > chunks:
        broken("its pictures are in disorder")
    if any(description != 1 for _, _, description in runs):
        broken("its pictures are coded in a way that is not supported")
    counts: list[int] = []
    for (_, samples, _), following in zip(runs, [*firsts[1:], chunks + 1], strict=True):
        counts += [samples] * (following - 1 - len(counts))
    return counts, full_box(b"stsc", uints(4, len(runs)), *(uints(4, *run) for run in runs))


def _ranges(sizes: list[int], chunks: list[int], counts: list[int]) -> list[Range]:
    if sum(counts) != len(sizes) or not sizes:
        broken("it has another number of pictures than it tells")
    ranges, remaining = [], iter(sizes)
    for start, count in zip(chunks, counts, strict=True):
        for size in islice(remaining, count):
            ranges.append((start, start + size))
            start += size
    check_apart(ranges)
    return ranges


# What tells of each sample when it is shown, and what it depends on: checked against their number, and kept.


def _durations(body: Reader, frames: int) -> bytes:
    return _runs(body, frames, 0)


def _shifts(body: Reader, frames: int) -> bytes:
    return _runs(body, frames, 0, 1)


def _runs(body: Reader, frames: int, *versions: int) -> bytes:
    version, _ = body.full(*versions)
    runs = [(body.uint(4), body.uint(4)) for _ in range(body.count(4, frames))]
    body.end()
    if sum(samples for samples, _ in runs) != frames:
        broken("it times another number of pictures than it has")
    return uints(4, version << 24, len(runs), *(number for run in runs for number in run))


def _key_frames(body: Reader, frames: int) -> bytes:
    body.full(0)
    numbers = [body.uint(4) for _ in range(body.count(4, frames))]
    body.end()
    if any(not before < after <= frames for before, after in pairwise([0, *numbers])):
        broken("its list of key frames is wrong")
    return uints(4, 0, len(numbers), *numbers)


def _dependencies(body: Reader, frames: int) -> bytes:
    body.full(0)
    values = body.take(frames)
    body.end()
    return bytes(4) + values


_TIMING: dict[bytes, Callable[[Reader, int], bytes]] = {
    b"stts": _durations,
    b"ctts": _shifts,
    b"stss": _key_frames,
    b"sdtp": _dependencies,
}
TABLES = (*_TIMING, b"stsd", b"stsc", b"stsz", b"stz2", b"stco", b"co64")
