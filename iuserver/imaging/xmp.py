"""XMP: reads what it tells of a gain map, and writes that and nothing else anew.

Source: ISO 16684-1 for XMP; Ultra HDR Image Format v1.1 for `hdrgm` and the container's items; Apple's "Applying Apple
HDR effect to your photos", and Skia (SkXmp.cpp) for the properties of Apple's maps.

Only the first, standard packet is read, at most 64 KiB of XML without a document type, so that nothing in it expands.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from xml.etree import ElementTree as ET

from iuserver.imaging.gain_parameters import Channel, Parameters
from iuserver.imaging.plan import Range

Packet = ET.Element

NAME = b"http://ns.adobe.com/xap/1.0/\0"
META = "adobe:ns:meta/"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
HDRGM = "http://ns.adobe.com/hdr-gain-map/1.0/"
CONTAINER = "http://ns.google.com/photos/1.0/container/"
ITEM = "http://ns.google.com/photos/1.0/container/item/"
APPLE_MAP = "http://ns.apple.com/HDRGainMap/1.0/"
APPLE_PIXELS = "http://ns.apple.com/pixeldatainfo/1.0/"
APPLE_KIND = "urn:com:apple:photo:2020:aux:hdrgainmap"
VERSION = "1.0"
MAX_ITEMS = 32
NUMBER = re.compile(r"[+-]?(\d{1,12}(\.\d{0,24})?|\.\d{1,24})([eE][+-]?\d{1,2})?", re.ASCII)
LENGTH = re.compile(r"\d{1,10}", re.ASCII)
PADDING = "\ufeff\0 \t\r\n"
DEFAULT_OFFSET = Fraction(1, 64)


def parse(body: bytes) -> Packet | None:
    """The packet of a segment with this body, or None where it is none that can be read."""
    if not body.startswith(NAME):
        return None
    try:
        text = body[len(NAME) :].decode().strip(PADDING)
        return None if "<!DOCTYPE" in text else ET.fromstring(text)  # noqa: S314  without one there are no entities
    except (UnicodeDecodeError, ET.ParseError):
        return None


def _descriptions(packet: Packet) -> Iterator[ET.Element]:
    return packet.iter(f"{{{RDF}}}Description")


def _property(description: ET.Element, space: str, name: str) -> list[str]:
    """The values of a property: an attribute, or an element with text or a list of values."""
    name = f"{{{space}}}{name}"
    if name in description.attrib:
        return [description.attrib[name]]
    element = description.find(name)
    if element is None:
        return []
    items = element.findall(f"{{{RDF}}}Seq/{{{RDF}}}li")
    return [item.text or "" for item in items or [element]]


def _number(text: str) -> Fraction:
    """The number, in as many digits as decoders distinguish. Raises ValueError where it is none."""
    if not NUMBER.fullmatch(text.strip()):
        raise ValueError(text)
    return Fraction(_decimal(float(text)))


def _decimal(number: Fraction | float) -> str:
    """The number in seven significant digits: decoders read it into single precision (IEEE 754)."""
    return format(float(number), ".7g")


# hdrgm


def announces(packet: Packet) -> bool:
    """Whether the packet of a primary image says that there is a gain map of a version that is known."""
    return any(_property(description, HDRGM, "Version") == [VERSION] for description in _descriptions(packet))


def parameters(packet: Packet) -> Parameters | None:
    """The parameters that the packet of a gain map tells, or None where it tells none that can be applied."""
    for description in _descriptions(packet):
        if _property(description, HDRGM, "Version") == [VERSION]:
            try:
                found = _parameters(description)
            except ValueError:
                return None
            return found if found.sound else None
    return None


def _parameters(description: ET.Element) -> Parameters:
    """Raises ValueError where a value is missing or no number."""

    def numbers(name: str, *, default: Fraction | None = None) -> list[Fraction]:
        values = [_number(text) for text in _property(description, HDRGM, name)]
        if not values and default is not None:
            return [default]
        if len(values) not in (1, 3):
            raise ValueError(name)
        return values

    columns = [
        numbers("GainMapMin", default=Fraction(0)),
        numbers("GainMapMax"),
        numbers("Gamma", default=Fraction(1)),
        numbers("OffsetSDR", default=DEFAULT_OFFSET),
        numbers("OffsetHDR", default=DEFAULT_OFFSET),
    ]
    low, high = numbers("HDRCapacityMin", default=Fraction(0))[0], numbers("HDRCapacityMax")[0]
    if _property(description, HDRGM, "BaseRenditionIsHDR") == ["True"]:
        low, high, columns[3], columns[4] = high, low, columns[4], columns[3]
    count = max(map(len, columns))
    rows = zip(*(column * (count // len(column)) for column in columns), strict=True)
    return Parameters(tuple(Channel(*row) for row in rows), low, high)


def of_map(parameters: Parameters) -> bytes:
    """The body of a gain map's segment."""
    columns = [list(column) for column in zip(*map(_row, parameters.channels), strict=True)]
    low, high, base_is_hdr = parameters.base_headroom, parameters.other_headroom, False
    if low > high:
        low, high, columns[3], columns[4], base_is_hdr = high, low, columns[4], columns[3], True
    names = ("GainMapMin", "GainMapMax", "Gamma", "OffsetSDR", "OffsetHDR", "HDRCapacityMin", "HDRCapacityMax")
    properties = dict(zip(names, [*columns, [low], [high]], strict=True))
    attributes = "".join(
        f' hdrgm:{name}="{_decimal(values[0])}"' for name, values in properties.items() if len(set(values)) == 1
    )
    lists = "".join(_list(name, values) for name, values in properties.items() if len(set(values)) > 1)
    attributes += f' hdrgm:BaseRenditionIsHDR="{base_is_hdr}"'
    return _packet({"hdrgm": HDRGM}, f' hdrgm:Version="{VERSION}"{attributes}', lists)


def _row(channel: Channel) -> Sequence[Fraction]:
    return channel.minimum, channel.maximum, channel.gamma, channel.base_offset, channel.other_offset


def _list(name: str, values: Sequence[Fraction]) -> str:
    items = "".join(f"<rdf:li>{_decimal(value)}</rdf:li>" for value in values)
    return f"<hdrgm:{name}><rdf:Seq>{items}</rdf:Seq></hdrgm:{name}>"


# The container's directory.


def map_place(packet: Packet) -> Range | None:
    """Where behind the end of the primary image its gain map is, or None where no directory tells it."""
    distance = 0
    for number, item in enumerate(packet.iter(f"{{{CONTAINER}}}Item")):
        text = _property(item, ITEM, "Length" if number else "Padding") or ["0"]
        if number >= MAX_ITEMS or not LENGTH.fullmatch(text[0]):
            return None
        length = int(text[0])
        if number and _property(item, ITEM, "Semantic") == ["GainMap"]:
            return distance, distance + length
        distance += length
    return None


def of_primary(map_length: int) -> bytes:
    """The body of a primary image's segment: it has a gain map of so many bytes, right behind it."""
    items = "".join(
        f'<rdf:li rdf:parseType="Resource"><Container:Item Item:Mime="image/jpeg" Item:Semantic="{semantic}"{length}/>'
        "</rdf:li>"
        for semantic, length in (("Primary", ""), ("GainMap", f' Item:Length="{map_length}"'))
    )
    directory = f"<Container:Directory><rdf:Seq>{items}</rdf:Seq></Container:Directory>"
    spaces = {"Container": CONTAINER, "Item": ITEM, "hdrgm": HDRGM}
    return _packet(spaces, f' hdrgm:Version="{VERSION}"', directory)


def _packet(spaces: dict[str, str], attributes: str, content: str) -> bytes:
    declared = "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in spaces.items())
    text = (
        f'<x:xmpmeta xmlns:x="{META}"><rdf:RDF xmlns:rdf="{RDF}">'
        f'<rdf:Description rdf:about=""{declared}{attributes}>{content}</rdf:Description></rdf:RDF></x:xmpmeta>'
    )
    return NAME + text.encode()


# Apple's maps.


def is_apple_map(packet: Packet) -> bool:
    """Whether this is the packet of one of Apple's gain maps."""
    for description in _descriptions(packet):
        kind = _property(description, APPLE_PIXELS, "AuxiliaryImageType")
        if kind == [APPLE_KIND] and _property(description, APPLE_MAP, "HDRGainMapVersion"):
            return True
    return False


def apple_headroom(packet: Packet) -> float | None:
    """How many stops the packet of one of Apple's gain maps says that it reaches, or None where it does not."""
    for description in _descriptions(packet):
        for text in _property(description, APPLE_MAP, "HDRGainMapHeadroom"):
            try:
                ratio = _number(text)
            except ValueError:
                return None
            return math.log2(ratio) if ratio > 0 else None
    return None
