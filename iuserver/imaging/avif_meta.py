"""AVIF: parses the image items of a meta box. avif_items.py decides which are kept.

Source: ISO/IEC 14496-12 section 8.11 for the meta box, ISO/IEC 23008-12 (HEIF) section 9.3 for item properties.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from iuserver.imaging.avif_properties import Property, clean
from iuserver.imaging.boxes import Reader, part
from iuserver.imaging.plan import Range, broken

MAX_ITEMS = 2048
XMP = b"application/rdf+xml"
MAX_EXTENTS = 16384
MAX_REFERENCES = 16384
MAX_ASSOCIATIONS = 64

Reference = tuple[bytes, int, list[int]]
"""The kind of a reference, the item that it goes out from, the items that it goes to."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where an item's bytes are: in the file (method 0), in the meta box's own data (1), or in another item (2)."""

    method: int
    reference: int
    extents: tuple[Range, ...]


@dataclass
class Meta:
    """What a meta box says, by the items' numbers where it is about one of them."""

    primary: int = 0
    kinds: dict[int, bytes] = field(default_factory=dict)
    hidden: set[int] = field(default_factory=set)
    xmp: set[int] = field(default_factory=set)
    locations: dict[int, Location] = field(default_factory=dict)
    references: list[Reference] = field(default_factory=list)
    inputs: dict[int, list[int]] = field(default_factory=dict)
    properties: list[tuple[bytes, bytes | None]] = field(default_factory=list)
    associations: dict[int, list[tuple[int, bool]]] = field(default_factory=dict)
    alternatives: list[tuple[int, list[int]]] = field(default_factory=list)
    idat: bytes = b""

    def made_of(self, item: int) -> list[int]:
        """The items that an item is derived from, in their order."""
        return self.inputs.get(item, [])

    def properties_of(self, item: int) -> list[Property]:
        """An item's properties that are kept, in the order in which they apply."""
        found = [self.properties[index] for index, _ in self.associations.get(item, ())]
        return [(kind, body) for kind, body in found if body is not None]


def read(body: Reader) -> Meta | None:
    """Read a meta box. None where it names no main picture, or lacks what tells of it. Raises Fault: broken_image."""
    body.full(0)
    meta = Meta()
    parts = body.parts(*_PARTS)
    if not parts.keys() >= {b"pitm", b"iinf", b"iloc", b"iprp"}:
        return None
    part(parts, b"hdlr")
    for kind, inner in parts.items():
        _PARTS[kind](meta, inner)
    return meta


# One function a box.


def _handler(meta: Meta, body: Reader) -> None:
    body.full(0)
    body.take(4)
    if body.take(4) != b"pict":
        broken("it describes something that is no picture")


def _primary(meta: Meta, body: Reader) -> None:
    version, _ = body.full(0, 1)
    meta.primary = body.uint(4 if version else 2)
    body.end()


def _infos(meta: Meta, body: Reader) -> None:
    version, _ = body.full(0, 1)
    count = body.count(4 if version else 2, MAX_ITEMS)
    for kind, entry in body.children():
        if kind == b"infe":
            _info(meta, entry)
    if len(meta.kinds) != count or 0 in meta.kinds:
        broken("its list of parts is wrong")


def _info(meta: Meta, entry: Reader) -> None:
    """Of what comes after an item's kind, its name above all, nothing is used but whether XMP is spoken of."""
    version, flags = entry.full(2, 3)
    item, protection = entry.uint(4 if version == 3 else 2), entry.uint(2)
    if item in meta.kinds:
        broken("two parts have the same number")
    if protection:
        broken("a part of it is encrypted")
    meta.kinds[item] = entry.take(4)
    if flags & 1:
        meta.hidden.add(item)
    if meta.kinds[item] == b"mime" and XMP in entry.rest():
        meta.xmp.add(item)


def _locations(meta: Meta, body: Reader) -> None:
    version, _ = body.full(0, 1, 2)
    nibbles = body.uint(2)
    sizes = [nibbles >> shift & 15 for shift in (12, 8, 4, 0)]
    if not version:
        sizes[3] = 0
    if not set(sizes) <= {0, 4, 8}:
        broken("its list of places is wrong")
    room = MAX_EXTENTS
    for _ in range(body.count(4 if version == 2 else 2, MAX_ITEMS)):
        item = body.uint(4 if version == 2 else 2)
        if item in meta.locations:
            broken("a part of it is in two places")
        meta.locations[item] = _location(body, version, sizes, room)
        room -= len(meta.locations[item].extents)
    body.end()


def _location(body: Reader, version: int, sizes: list[int], room: int) -> Location:
    offset_size, length_size, base_size, index_size = sizes
    method = body.uint(2) & 15 if version else 0
    reference, base = body.uint(2), body.uint(base_size)
    extents = []
    for _ in range(body.count(2, room)):
        body.take(index_size)
        start = base + body.uint(offset_size)
        extents.append((start, start + body.uint(length_size)))
    return Location(method, reference, tuple(extents))


def _references(meta: Meta, body: Reader) -> None:
    version, _ = body.full(0, 1)
    size = 4 if version else 2
    room = MAX_REFERENCES
    for kind, inner in body.children():
        origin = inner.uint(size)
        targets = [inner.uint(size) for _ in range(inner.count(2, room))]
        inner.end()
        room -= len(targets)
        meta.references.append((kind, origin, targets))
        if kind == b"dimg" and meta.inputs.setdefault(origin, targets) is not targets:
            broken("a part of it is made of others twice")


def _properties(meta: Meta, body: Reader) -> None:
    container: Reader | None = None
    for kind, inner in body.children():
        if kind == b"ipco" and container is None:
            container = inner
            meta.properties = [(name, clean(name, value)) for name, value in inner.children()]
        elif kind == b"ipma" and container is not None:
            _associations(meta, inner)
        else:
            broken("its properties are in disorder")


def _associations(meta: Meta, body: Reader) -> None:
    version, flags = body.full(0, 1)
    size = 2 if flags & 1 else 1
    top = 1 << (8 * size - 1)
    for _ in range(body.count(4, MAX_ITEMS - len(meta.associations))):
        item = body.uint(4 if version else 2)
        if item in meta.associations:
            broken("a part of it has its properties twice")
        numbers = [body.uint(size) for _ in range(body.count(1, MAX_ASSOCIATIONS))]
        pairs = [(number % top - 1, number >= top) for number in numbers if number % top]
        if any(index >= len(meta.properties) for index, _ in pairs):
            broken("it refers to a property that it does not have")
        meta.associations[item] = pairs
    body.end()


def _groups(meta: Meta, body: Reader) -> None:
    room = MAX_REFERENCES
    for kind, inner in body.children():
        if kind != b"altr":
            continue
        inner.full(0)
        group = inner.uint(4)
        members = [inner.uint(4) for _ in range(inner.count(4, room))]
        inner.end()
        room -= len(members)
        meta.alternatives.append((group, members))


def _data(meta: Meta, body: Reader) -> None:
    meta.idat = body.rest()


_PARTS: dict[bytes, Callable[[Meta, Reader], None]] = {
    b"hdlr": _handler,
    b"pitm": _primary,
    b"iinf": _infos,
    b"iloc": _locations,
    b"iref": _references,
    b"iprp": _properties,
    b"grpl": _groups,
    b"idat": _data,
}
