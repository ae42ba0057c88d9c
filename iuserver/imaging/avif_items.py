"""AVIF: the image items of a meta box, and a meta box rewritten for those alone that the main picture needs.

Source: ISO/IEC 14496-12 section 8.11 for the meta box, ISO/IEC 23008-12 (HEIF) sections 6.4 to 6.6 and 9.3 for
image items, their references and properties, ISO 21496-1 annex C for the parameters of a tone map.

Kept: the primary item, what it is made of (`dimg`: the cells of a grid, the picture that an `iden` turns), their
alpha planes (`auxl`, `prem`), and tone maps over the primary item with their gain map and their `altr` group.
Everything else goes: Exif, XMP and every other item of another kind, thumbnails, depth maps, their references and
data, names and content types of items, unknown properties, unknown boxes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from iuserver.imaging import avif_meta, left_out
from iuserver.imaging.avif_meta import Location, Meta, Reference
from iuserver.imaging.avif_properties import KINDS, shown
from iuserver.imaging.boxes import Packing, Place, Reader, box, check_apart, full_box, handler, uints
from iuserver.imaging.plan import Limits, Range, broken
from iuserver.imaging.source import Source

MAX_GRID, MAX_TONE_MAP = 12, 142
MAX_EXIF = 1 << 20

# What an item of a kind may be made of. None can be made of its own kind, so that nothing runs in a circle.
INPUTS: dict[bytes, tuple[bytes, ...]] = {
    b"av01": (),
    b"grid": (b"av01",),
    b"iden": (b"av01", b"grid"),
    b"tmap": (b"av01", b"grid", b"iden"),
}
PICTURES = (b"av01", b"grid", b"iden")
WITHOUT_BYTES = (b"iden",)


@dataclass(frozen=True, slots=True)
class Items:
    """The items that are kept: the main picture's size as a viewer shows it, the items' bytes, and their meta box.

    `removed` are the kinds of the others.
    """

    width: int
    height: int
    has_tone_map: bool
    removed: frozenset[str]
    ranges: tuple[Range, ...]
    _before: bytes
    _after: bytes
    _locations: tuple[tuple[int, Location], ...]
    _wide: bool
    _idat: Packing

    def box(self, place: Place) -> bytes:
        """The meta box. Its length is the same wherever the items' bytes come to lie."""
        version = 2 if self._wide else 1 if self._idat.size else 0
        entries = [self._entry(version, item, location, place) for item, location in self._locations]
        count = uints(4 if self._wide else 2, len(entries))
        iloc = full_box(b"iloc", b"\x44\x00", count, *entries, version=version)
        return full_box(b"meta", self._before, iloc, self._after)

    def _entry(self, version: int, item: int, location: Location, place: Place) -> bytes:
        if location.method:
            place = self._idat.place
        method = uints(2, location.method) if version else b""
        extents = [uints(4, place(start), stop - start) for start, stop in location.extents]
        return uints(4 if self._wide else 2, item) + method + uints(2, 0, len(extents)) + b"".join(extents)


def read(body: Reader, source: Source, limits: Limits) -> Items | None:
    """Read a meta box, check the items that its main picture needs, and keep those. None where it has none."""
    meta = avif_meta.read(body)
    if meta is None:
        return None
    _kind(meta, meta.primary, PICTURES)
    pictures = _with_inputs(meta, [meta.primary])
    alphas = _with_inputs(meta, _alphas(meta, pictures))
    needed = pictures | alphas | _with_inputs(meta, _tone_maps(meta, source))
    kept = [item for item in meta.kinds if item in needed]
    _check_pixels(meta, kept, limits)
    for item in kept:
        _check(meta, source, item)
    removed = _removed(meta, source, set(kept))
    return _items(meta, kept, _kept_references(meta, pictures, alphas, kept), removed)


def _removed(meta: Meta, source: Source, kept: set[int]) -> frozenset[str]:
    """The kinds of the items that are not kept."""
    thumbnails = {origin for kind, origin, _ in meta.references if kind == b"thmb"}
    found: set[str] = set()
    for item in meta.kinds.keys() - kept:
        if meta.kinds[item] == b"Exif":
            found |= {"exif"} if "exif" in found else left_out.of_item_exif(_content(meta, source, item, MAX_EXIF))
        else:
            found.add("xmp" if item in meta.xmp else "thumbnail" if item in thumbnails else "other")
    return frozenset(found)


# Which items the main picture needs.


def _with_inputs(meta: Meta, items: Iterable[int]) -> set[int]:
    """These items and all that they are made of."""
    found = set(items)
    waiting = list(found)
    while waiting:
        item = waiting.pop()
        allowed = INPUTS[_kind(meta, item, INPUTS)]
        for target in meta.made_of(item) if allowed else ():
            _kind(meta, target, allowed)
            if target not in found:
                found.add(target)
                waiting.append(target)
    return found


def _kind(meta: Meta, item: int, allowed: Collection[bytes]) -> bytes:
    kind = meta.kinds.get(item, b"")
    if kind not in allowed:
        broken("it needs a part that it does not have, or one of a kind that is not supported")
    return kind


def _alphas(meta: Meta, pictures: set[int]) -> list[int]:
    found = []
    for kind, origin, targets in meta.references:
        if kind != b"auxl":
            continue
        if origin in pictures:
            broken("its main picture is an addition to another, or to itself")
        if pictures.isdisjoint(targets):
            continue
        if meta.kinds.get(origin) in PICTURES and any(name == b"auxC" for name, _ in meta.properties_of(origin)):
            found.append(origin)
    return found


def _tone_maps(meta: Meta, source: Source) -> list[int]:
    """Tone maps of two pictures, the main one being the first. Other parameters than those known are not kept."""
    return [
        item
        for item, kind in meta.kinds.items()
        if kind == b"tmap"
        and len(meta.made_of(item)) == 2
        and meta.made_of(item)[0] == meta.primary
        and _is_tone_map(_content(meta, source, item, MAX_TONE_MAP))
    ]


def _is_tone_map(content: bytes) -> bool:
    """Version 0 of the parameters, nothing added: headrooms and then, once or a channel, gains, gamma and offsets."""
    return content[:3] == bytes(3) and len(content) == (142 if content[5:6] >= b"\x80" else 62)


def _content(meta: Meta, source: Source, item: int, limit: int) -> bytes:
    """An item's bytes, or none where they are more than `limit`."""
    location = meta.locations.get(item)
    if location is None or location.method > 1 or sum(stop - start for start, stop in location.extents) > limit:
        return b""
    where = Source(meta.idat) if location.method else source
    return b"".join(where.at(start, stop - start) for start, stop in location.extents)


def _kept_references(meta: Meta, pictures: set[int], alphas: set[int], kept: list[int]) -> list[Reference]:
    allowed: dict[bytes, tuple[set[int], set[int]]] = {
        b"dimg": ({item for item in kept if INPUTS[meta.kinds[item]]}, set(kept)),
        b"auxl": (alphas, pictures),
        b"prem": (pictures, alphas),
    }
    found = []
    for kind, origin, targets in meta.references:
        origins, aims = allowed.get(kind, (set(), set()))
        targets = [target for target in targets if target in aims]
        if origin in origins and targets:
            found.append((kind, origin, targets))
    return found


# Whether they are right.


def _check_pixels(meta: Meta, kept: list[int], limits: Limits) -> None:
    total = 0
    for item in kept:
        width, height = _size(meta, item)
        limits.check_frame(width, height)
        total += width * height if meta.kinds[item] == b"av01" else 0
        limits.check_frames(1, total)


def _size(meta: Meta, item: int) -> tuple[int, int]:
    body = next((body for kind, body in meta.properties_of(item) if kind == b"ispe"), bytes(12))
    width, height = int.from_bytes(body[4:8], "big"), int.from_bytes(body[8:12], "big")
    if not (width and height):
        broken("a part of it has no size")
    return width, height


def _check(meta: Meta, source: Source, item: int) -> None:
    _check_properties(meta, item)
    check = _CHECKS.get(meta.kinds[item])
    if check:
        check(meta, source, item)
    if meta.kinds[item] in WITHOUT_BYTES:
        return
    location = meta.locations.get(item)
    if location is None or not location.extents or location.method > 1 or location.reference:
        broken("a part of it is nowhere, or where it is not supported")
    check_apart(location.extents)
    if location.method and any(stop > len(meta.idat) for _, stop in location.extents):
        broken("its picture data is not where it should be, or cut short")


def _check_properties(meta: Meta, item: int) -> None:
    seen = set()
    for index, essential in meta.associations[item]:
        kind, body = meta.properties[index]
        if essential and kind not in KINDS:
            broken("it needs a property that is not supported")
        if body is not None and kind in seen and kind != b"colr":
            broken("a part of it has a property twice")
        seen.add(kind)


def _check_av1(meta: Meta, source: Source, item: int) -> None:
    if all(kind != b"av1C" for kind, _ in meta.properties_of(item)):
        broken("a part of it has no AV1 configuration")


def _check_grid(meta: Meta, source: Source, item: int) -> None:
    """Version, flags, rows, columns, width and height: the cells fill the picture, and no row or column is too many."""
    content = _content(meta, source, item, MAX_GRID)
    if content[:1] != b"\0" or len(content) != (12 if content[1:2] == b"\1" else 8):
        broken("its grid is wrong")
    rows, columns, half = content[2] + 1, content[3] + 1, len(content) // 2 + 2
    size = (int.from_bytes(content[4:half], "big"), int.from_bytes(content[half:], "big"))
    cells = meta.made_of(item)
    if size != _size(meta, item) or rows * columns != len(cells):
        broken("its grid is wrong")
    width, height = _size(meta, cells[0])
    if any(_size(meta, cell) != (width, height) for cell in cells):
        broken("the cells of its grid have different sizes")
    if not (0 <= width * columns - size[0] < width and 0 <= height * rows - size[1] < height):
        broken("the cells of its grid do not fill it")


def _check_identity(meta: Meta, source: Source, item: int) -> None:
    if len(meta.made_of(item)) != 1:
        broken("a part of it is made of too many others")


_CHECKS: dict[bytes, Callable[[Meta, Source, int], None]] = {
    b"av01": _check_av1,
    b"grid": _check_grid,
    b"iden": _check_identity,
}


# The new meta box.


def _items(meta: Meta, kept: list[int], references: list[Reference], removed: frozenset[str]) -> Items:
    wide = max(kept) > 0xFFFF
    locations = [(item, meta.locations[item]) for item in kept if meta.kinds[item] not in WITHOUT_BYTES]
    in_idat = [extent for _, location in locations if location.method for extent in location.extents]
    in_file = [extent for _, location in locations if not location.method for extent in location.extents]
    packing = Packing(in_idat)
    idat = b"".join(meta.idat[start:stop] for start, stop in packing.ranges)
    after = [
        _iinf(meta, kept, wide),
        _iref(references, wide),
        _iprp(meta, kept, wide),
        _grpl(meta, kept),
        box(b"idat", idat) if idat else b"",
    ]
    pitm = full_box(b"pitm", uints(4 if wide else 2, meta.primary), version=int(wide))
    size = shown(*_size(meta, meta.primary), meta.properties_of(meta.primary))
    return Items(
        *size,
        any(meta.kinds[item] == b"tmap" for item in kept),
        removed,
        tuple(in_file),
        handler(b"pict") + pitm,
        b"".join(after),
        tuple(locations),
        wide,
        packing,
    )


def _iinf(meta: Meta, kept: list[int], wide: bool) -> bytes:
    entries = [
        full_box(
            b"infe",
            uints(4 if wide else 2, item) + bytes(2) + meta.kinds[item] + b"\0",
            version=3 if wide else 2,
            flags=int(item in meta.hidden),
        )
        for item in kept
    ]
    return full_box(b"iinf", uints(2, len(kept)), *entries)


def _iref(references: list[Reference], wide: bool) -> bytes:
    size = 4 if wide else 2
    boxes = [
        box(kind, uints(size, origin), uints(2, len(targets)), uints(size, *targets))
        for kind, origin, targets in references
    ]
    return full_box(b"iref", *boxes, version=int(wide)) if boxes else b""


def _iprp(meta: Meta, kept: list[int], wide: bool) -> bytes:
    """The properties that the kept items have, numbered anew."""
    used = {index for item in kept for index, _ in meta.associations[item]}
    bodies = {index: body for index in sorted(used) if (body := meta.properties[index][1]) is not None}
    numbers = {index: number for number, index in enumerate(bodies, 1)}
    large = len(bodies) > 127
    entries = [
        uints(4 if wide else 2, item) + _association(meta.associations[item], numbers, 2 if large else 1)
        for item in sorted(kept)
    ]
    ipco = box(b"ipco", *(box(meta.properties[index][0], body) for index, body in bodies.items()))
    ipma = full_box(b"ipma", uints(4, len(entries)), *entries, version=int(wide), flags=int(large))
    return box(b"iprp", ipco, ipma)


def _association(pairs: list[tuple[int, bool]], numbers: dict[int, int], size: int) -> bytes:
    essential_bit = 1 << (8 * size - 1)
    values = [numbers[index] + essential_bit * essential for index, essential in pairs if index in numbers]
    return uints(1, len(values)) + uints(size, *values)


def _grpl(meta: Meta, kept: list[int]) -> bytes:
    """Which of the kept items a viewer may choose between: groups with a tone map in them."""
    groups, there = [], set(kept)
    for group, members in meta.alternatives:
        members = [item for item in members if item in there]
        if len(members) > 1 and any(meta.kinds[item] == b"tmap" for item in members):
            groups.append(full_box(b"altr", uints(4, group, len(members), *members)))
    return box(b"grpl", *groups) if groups else b""
