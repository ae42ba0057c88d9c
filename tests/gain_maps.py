"""JPEGs with a gain map, in each dialect, made by the tests with secrets planted in them; and a reader of our own.

The reader shares nothing with the server: it goes by the index of the images alone, and finds parameters by patterns.
"""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Callable

from PIL import Image, ImageDraw, ImageFilter

from tests import pictures
from tests.pictures import SECRET, segment

XMP = b"http://ns.adobe.com/xap/1.0/\0"
ISO = b"urn:iso:std:iso:ts:21496:-1\0"
SPACES = (
    'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    ' xmlns:Container="http://ns.google.com/photos/1.0/container/"'
    ' xmlns:Item="http://ns.google.com/photos/1.0/container/item/"'
    ' xmlns:HDRGainMap="http://ns.apple.com/HDRGainMap/1.0/"'
    ' xmlns:apdi="http://ns.apple.com/pixeldatainfo/1.0/"'
)
HIDDEN = f'dc:creator="{SECRET.decode()}"'
HDRGM = {
    "GainMapMin": (-0.25,),
    "GainMapMax": (2.656715,),
    "Gamma": (1.2,),
    "OffsetSDR": (0.015625,),
    "OffsetHDR": (0.03125,),
    "HDRCapacityMin": (0.1,),
    "HDRCapacityMax": (2.5,),
}
"""The parameters of the maps that are made here, where no others are told."""
THREE = {**HDRGM, "GainMapMax": (3.5, 3.6, 3.7), "Gamma": (1.1, 0.6, 0.7)}
HEADROOM = 1.518932
"""What an iPhone's maker notes tell; with no gain beside it the map reaches three stops."""


def scene(width: int = 320, height: int = 240, seed: int = 1) -> Image.Image:
    """Something to look at: dark ground, and many shapes of which some shine."""
    chance = random.Random(seed)
    image = Image.new("RGB", (width, height), (30, 30, 40))
    draw = ImageDraw.Draw(image)
    for _ in range(120):
        x, y, size = chance.randrange(-20, width), chance.randrange(-20, height), chance.randrange(8, 50)
        shade = chance.choice((60, 110, 160, 255))
        shape = chance.choice((draw.rectangle, draw.ellipse))
        shape((x, y, x + size, y + size), fill=(shade, shade, max(0, shade - chance.randrange(60))))
    return image.filter(ImageFilter.GaussianBlur(0.7))


def map_of(image: Image.Image, scale: int = 2, mode: str = "L") -> Image.Image:
    """How much brighter each place of a scene is to be."""
    small = image.convert("L").resize((image.width // scale, image.height // scale))
    return small.point([max(0, level - 90) * 255 // 165 for level in range(256)]).convert(mode)


# The two images, and what stands in front of them.


def packet(attributes: str = "", content: str = "") -> bytes:
    """The segment of an XMP packet with a secret in it."""
    return segment(
        0xE1,
        XMP
        + (
            '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Core">'
            '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
            f'<rdf:Description rdf:about="" {SPACES} {attributes} {HIDDEN}>{content}</rdf:Description>'
            "</rdf:RDF></x:xmpmeta>"
            '<?xpacket end="w"?>'
        ).encode(),
    )


def hdrgm(parameters: dict[str, tuple[float, ...]] = HDRGM, more: str = "") -> bytes:
    """The segment of a map's parameters in XMP."""
    alone = " ".join(f'hdrgm:{name}="{values[0]}"' for name, values in parameters.items() if len(values) == 1)
    lists = "".join(
        f"<hdrgm:{name}><rdf:Seq>{''.join(f'<rdf:li>{value}</rdf:li>' for value in values)}</rdf:Seq></hdrgm:{name}>"
        for name, values in parameters.items()
        if len(values) > 1
    )
    return packet(f'hdrgm:Version="1.0" {alone} {more}', lists)


def directory(length: int, before: str = "") -> bytes:
    """The segment that announces a map of so many bytes, as Google's phones write it."""
    items = f'<Container:Item Item:Mime="image/jpeg" Item:Semantic="GainMap" Item:Length="{length}"/>'
    primary = '<Container:Item Item:Mime="image/jpeg" Item:Semantic="Primary" Item:Padding="0"/>'
    resources = "".join(
        f'<rdf:li rdf:parseType="Resource">{item}</rdf:li>' for item in (primary, before, items) if item
    )
    return packet('hdrgm:Version="1.0"', f"<Container:Directory><rdf:Seq>{resources}</rdf:Seq></Container:Directory>")


def iso(parameters: dict[str, tuple[float, ...]] = HDRGM, more: bytes = SECRET, flags: int = 0x40) -> bytes:
    """The segment of a map's parameters by ISO 21496-1, with other bytes behind them."""
    names = ("GainMapMin", "GainMapMax", "Gamma", "OffsetSDR", "OffsetHDR")
    count = max(len(parameters[name]) for name in names)
    numbers = [parameters["HDRCapacityMin"][0], parameters["HDRCapacityMax"][0]]
    for channel in range(count):
        numbers += [(parameters[name] * count)[channel] for name in names]
    packed = b"".join(struct.pack(">iI", round(number * 1_000_000), 1_000_000) for number in numbers)
    return segment(0xE2, ISO + bytes(4) + bytes([flags | (0x80 if count == 3 else 0)]) + packed + more)


def announcement() -> bytes:
    """The segment of a primary image by ISO 21496-1, with other bytes behind it."""
    return segment(0xE2, ISO + bytes(4) + SECRET)


def apple(headroom: str = "") -> bytes:
    """The segment that an iPhone writes in front of a map."""
    told = f"<HDRGainMap:HDRGainMapHeadroom>{headroom}</HDRGainMap:HDRGainMapHeadroom>" if headroom else ""
    return packet(
        content="<HDRGainMap:HDRGainMapVersion>65536</HDRGainMap:HDRGainMapVersion>"
        "<apdi:AuxiliaryImageType>urn:com:apple:photo:2020:aux:hdrgainmap</apdi:AuxiliaryImageType>" + told
    )


def maker_notes(headroom: float = HEADROOM, orientation: int = 1) -> bytes:
    """EXIF as an iPhone writes it: an orientation, a maker, and notes with a headroom, a gain of 0 and a secret."""
    entries = [(1, 9, 1, 15), (33, 10, 1, 0), (48, 10, 1, 0), (99, 2, len(SECRET), 0)]
    behind = 14 + 2 + 12 * len(entries) + 4
    places = {33: behind, 48: behind + 8, 99: behind + 16}
    notes = b"Apple iOS\0\0\1MM" + struct.pack(">H", len(entries))
    notes += b"".join(struct.pack(">HHII", tag, kind, n, places.get(tag, value)) for tag, kind, n, value in entries)
    notes += bytes(4) + struct.pack(">iiii", round(headroom * 1_000_000), 1_000_000, 0, 1) + SECRET
    ifd0 = struct.pack(">IHHHIHHHHII", 8, 2, 0x0112, 3, 1, orientation, 0, 0x8769, 4, 1, 38) + bytes(4)
    exif_ifd = struct.pack(">HHHII", 1, 0x927C, 7, len(notes), 38 + 18) + bytes(4)
    return segment(0xE1, b"Exif\0\0MM\0*" + ifd0 + exif_ifd + notes)


def index(primary: int, images: list[tuple[int, int]], order: str = ">") -> bytes:
    """The segment of an index: the primary image's length, and offset and length of the others. It has secrets."""
    count = 1 + len(images)
    names = b"".join(SECRET[:32].ljust(33, b"\0") for _ in range(count))
    start = 8 + 2 + 12 * 4 + 4
    entries = [(0xB000, 7, 4, b"0100"), (0xB001, 4, 1, struct.pack(order + "I", count))]
    entries += [(0xB002, 7, 16 * count, struct.pack(order + "I", start))]
    entries += [(0xB003, 7, 33 * count, struct.pack(order + "I", start + 16 * count))]
    ifd = struct.pack(order + "IH", 8, 4)
    ifd += b"".join(struct.pack(order + "HHI4s", tag, kind, n, value) for tag, kind, n, value in entries) + bytes(4)
    listed = struct.pack(order + "IIIHH", 0x030000, primary, 0, 0, 0)
    listed += b"".join(struct.pack(order + "IIIHH", 0, length, offset, 0, 0) for offset, length in images)
    tiff = (b"MM\0*" if order == ">" else b"II*\0") + ifd + listed + names
    return segment(0xE2, b"MPF\0" + tiff)


def put(primary: bytes, before: bytes, images: list[bytes], order: str = ">", gap: bytes = b"", by: int = 0) -> bytes:
    """A file of a primary image, with segments and an index put into it, and the others behind it.

    `gap` is put in front of each of the others, `by` added to where the index says that they are.
    """
    place = len(primary) + len(before) + len(index(0, [(0, 0)] * len(images), order))
    start, listed = 2 + len(before) + 8, []
    end = place
    for image in images:
        end += len(gap)
        listed.append((end - start + by, len(image)))
        end += len(image)
    head = primary[:2] + before + index(place, listed, order) + primary[2:]
    return head + b"".join(gap + image for image in images)


def map_jpeg(image: Image.Image, before: bytes, **options: object) -> bytes:
    """The JPEG of a map: segments with its parameters, and a secret in each other place that it has."""
    plain = pictures.jpeg(image, **options)
    exif = segment(0xE1, pictures.exif(6).tobytes())
    hidden = segment(0xE5, SECRET) + segment(0xFE, SECRET) + segment(0xE2, b"MPF\0" + SECRET)
    scan = plain.index(b"\xff\xda")
    return plain[:2] + before + exif + hidden + plain[2:scan] + segment(0xFE, SECRET) + plain[scan:]


def _google(primary: bytes, gain_map: Image.Image, more: bytes = b"", **options: object) -> bytes:
    found = map_jpeg(gain_map, hdrgm() + more, **options)
    return put(primary, directory(len(found)) + (announcement() if more else b""), [found])


DIALECTS: dict[str, Callable[[bytes, Image.Image], bytes]] = {
    "Ultra HDR v1": _google,
    "Ultra HDR v1 and ISO 21496-1": lambda primary, gain_map: _google(primary, gain_map, iso()),
    "ISO 21496-1": lambda primary, gain_map: put(primary, announcement(), [map_jpeg(gain_map, iso())]),
    "ISO 21496-1, three channels": lambda primary, gain_map: put(
        primary, announcement(), [map_jpeg(gain_map.convert("RGB"), iso(THREE, flags=0))]
    ),
    "Adobe": lambda primary, gain_map: put(
        primary, packet('hdrgm:Version="1.0"'), [map_jpeg(gain_map.convert("RGB"), hdrgm(THREE))], order="<"
    ),
    "Apple": lambda primary, gain_map: put(primary, maker_notes(), [map_jpeg(gain_map, apple())]),
    "Apple, newer": lambda primary, gain_map: put(primary, maker_notes(), [map_jpeg(gain_map, apple("4.532783"))]),
}
"""A file of a primary image and the picture of a map, by the dialect in which it tells its parameters."""


def photo(dialect: str = "Ultra HDR v1", image: Image.Image | None = None, **options: object) -> bytes:
    """A photo with its own gain map, and a secret in every place that its maker has for one."""
    image = image or scene()
    return DIALECTS[dialect](pictures.jpeg(image, icc_profile=pictures.icc_profile(), **options), map_of(image))


# The reader.


def read(data: bytes) -> tuple[bytes, bytes]:
    """The primary image and the second one, by the index of the images."""
    place = data.index(b"MPF\0") + 4
    order = ">" if data[place : place + 2] == b"MM" else "<"
    (ifd,) = struct.unpack_from(order + "I", data, place + 4)
    for entry in range(struct.unpack_from(order + "H", data, place + ifd)[0]):
        tag, _, _, value = struct.unpack_from(order + "HHII", data, place + ifd + 2 + 12 * entry)
        if tag == 0xB002:
            length, offset = struct.unpack_from(order + "II", data, place + value + 20)
            return data[: place + offset], data[place + offset :][:length]
    raise ValueError("no second image")


def parameters_in_xmp(image: bytes) -> dict[str, list[float]]:
    """The parameters that the first XMP packet of an image tells."""
    start = image.find(XMP)
    text = image[start : start + int.from_bytes(image[start - 2 : start], "big") - 2].decode() if start >= 0 else ""
    found = {name: [float(value)] for name, value in re.findall(r'hdrgm:(\w+)="(-?[\d.e+-]+)"', text)}
    for name, values in re.findall(r"<hdrgm:(\w+)><rdf:Seq>(.*?)</rdf:Seq>", text):
        found[name] = [float(value) for value in re.findall(r">([^<]+)</rdf:li>", values)]
    return found


def parameters_in_iso(image: bytes) -> list[float]:
    """The parameters that an image tells by ISO 21496-1: both headrooms, and five of each channel."""
    start = image.find(ISO)
    if start < 0:
        return []
    body = image[start + len(ISO) :][4:]
    count = 2 + (15 if body[0] & 0x80 else 5)
    pairs = struct.unpack_from(f">{'iI' * count}", body, 1)
    return [numerator / denominator for numerator, denominator in zip(pairs[::2], pairs[1::2], strict=True)]
