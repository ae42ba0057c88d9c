"""Names the kinds (plan.REMOVED) of what a walker leaves out, by its first bytes.

Of EXIF the directories are looked at, nothing else: whether there is one of a position, and tags that name a camera.

Source: CIPA DC-008 (Exif 2.32) section 4.6, XMP specification part 3, C2PA specification 2.2 annex A.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from iuserver.imaging import exif

LOOKED_AT = 64
"""First bytes that tell what a segment or a chunk is."""
MAX_ENTRIES = 1000
"""Entries of a directory that are looked at: cameras write a hundred."""
GPS_IFD, GPS_VERSION = 0x8825, 0
OF_CAMERAS = frozenset(
    # Make, Model; MakerNote; owner, body's serial number, LensSpecification, LensMake, LensModel, lens's serial number
    {0x010F, 0x0110, 0x927C, *range(0xA430, 0xA436)}
)

C2PA_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")

_JPEG_SEGMENTS = {
    (0xE0, b"JFXX\0"): "thumbnail",
    (0xE1, b"http://ns.adobe.com/xap/1.0/\0"): "xmp",
    (0xE1, b"http://ns.adobe.com/xmp/extension/\0"): "xmp",
    (0xED, b"Photoshop 3.0\0"): "iptc",
    (0xFE, b""): "comment",
}
_PNG_TEXTS = {
    b"XML:com.adobe.xmp\0": "xmp",
    b"Raw profile type xmp\0": "xmp",
    b"Raw profile type exif\0": "exif",
    b"Raw profile type APP1\0": "exif",
    b"Raw profile type iptc\0": "iptc",
}
_CHUNKS = {b"XMP ": "xmp", b"C2PA": "c2pa", b"caBX": "c2pa"}
_GIF_EXTENSIONS = {
    b"\xfe": "comment",
    b"\x01": "text",
    b"\xff\x0bXMP DataXMP": "xmp",
    b"\xff\x0bC2PA_GIF": "c2pa",
}


def of_exif(tiff: bytes, kept: bytes = b"") -> frozenset[str]:
    """The kinds of a TIFF structure of which another is kept; none if that has all of it."""
    if len(tiff) <= len(kept):
        return frozenset()
    main = dict(_tags(tiff, exif.FIRST_IFD))
    inner = dict(_tags(tiff, main[exif.EXIF_IFD])) if exif.EXIF_IFD in main else {}
    position = dict(_tags(tiff, main[GPS_IFD])) if GPS_IFD in main else {}
    found = {
        "exif": True,
        "thumbnail": exif.has_thumbnail(tiff),
        "camera": not OF_CAMERAS.isdisjoint(main.keys() | inner.keys()),
        "gps": bool(position.keys() - {GPS_VERSION}),
    }
    return frozenset(kind for kind, is_there in found.items() if is_there)


def _tags(tiff: bytes, pointer: int) -> Iterator[tuple[int, int]]:
    return islice(exif.tags(tiff, pointer), MAX_ENTRIES)


def of_jpeg_segment(marker: int, head: bytes) -> str | None:
    """The kind of a segment that is no EXIF, by the first bytes of its body; None where nothing is in it."""
    if marker == 0xEB and head[:2] == b"JP" and head[12:16] == b"jumb":
        return "c2pa"
    found = (kind for (of, start), kind in _JPEG_SEGMENTS.items() if marker == of and head.startswith(start))
    return next(found, "other" if head else None)


def of_chunk(kind: bytes, head: bytes) -> str:
    """The kind of a chunk of a PNG or a WebP that is no EXIF, by its name and the first bytes of its data."""
    if kind in (b"tEXt", b"zTXt", b"iTXt"):
        return next((word for start, word in _PNG_TEXTS.items() if head.startswith(start)), "text")
    return _CHUNKS.get(kind, "other")


def of_gif_extension(head: bytes) -> str:
    """The kind of an extension, by the bytes behind its introducer."""
    return next((kind for start, kind in _GIF_EXTENSIONS.items() if head.startswith(start)), "other")


def of_box(kind: bytes, head: bytes) -> str | None:
    """The kind of a box of a file (ISO/IEC 14496-12); None for one that has nothing in it."""
    if kind in (b"free", b"skip"):
        return None
    uuids = {C2PA_UUID: "c2pa", XMP_UUID: "xmp"}
    return uuids.get(head[:16], "other") if kind == b"uuid" else "other"


def of_item_exif(content: bytes) -> frozenset[str]:
    """The kinds of an Exif item (ISO/IEC 23008-12, annex A.2.1): the offset of a TIFF structure, and what has it."""
    return of_exif(content[4 + int.from_bytes(content[:4], "big") :] or content)
