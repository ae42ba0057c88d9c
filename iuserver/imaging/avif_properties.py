"""AVIF: property boxes of an image item or of a sequence's pictures: which are kept, and checks of each.

Source: ISO/IEC 23008-12 (HEIF) section 6.5 and ISO/IEC 14496-12 section 12.1 for the properties, "AV1 Image File
Format" 2.2 and 2.3 and "AV1 Codec ISO Media File Format Binding" 2.3 for AV1's own.

Kept, each of exactly the length that it should have: ispe pixi colr (nclx, and ICC profiles) av1C irot imir clap
pasp auxC a1op lsel a1lx clli mdcv cclv amve, and auxi and ccst of a sequence. Texts in them are cut off or written
anew: the labels of channels (pixi), the copies of bitstream units (av1C), the auxiliary type (auxC, auxi).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from iuserver.imaging import icc
from iuserver.imaging.boxes import Reader, uints
from iuserver.imaging.plan import HDR_TRANSFERS, broken

ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1")
MAX_CHANNELS = 16

# Properties of one length, full boxes apart.
LENGTHS = {
    b"irot": 1,
    b"imir": 1,
    b"pasp": 8,
    b"a1op": 1,
    b"lsel": 2,
    b"clli": 4,
    b"mdcv": 24,
    b"amve": 8,
}
FULL_LENGTHS = {b"ispe": 8, b"ccst": 4}

Property = tuple[bytes, bytes]
"""A property's kind, and its clean body."""


def clean(kind: bytes, body: Reader) -> bytes | None:
    """The clean body of a property, or None where it is none that is kept."""
    if kind in LENGTHS:
        return _exactly(body, LENGTHS[kind])
    if kind in FULL_LENGTHS:
        body.full(0)
        return bytes(4) + _exactly(body, FULL_LENGTHS[kind])
    return _PROPERTIES[kind](body) if kind in _PROPERTIES else None


def _exactly(body: Reader, size: int) -> bytes:
    data = body.take(size)
    body.end()
    return data


# One function a kind whose length varies.


def _channels(body: Reader) -> bytes:
    body.full(0)
    count = body.count(1, MAX_CHANNELS)
    return bytes(4) + uints(1, count) + body.take(count)


def _colour(body: Reader) -> bytes | None:
    kind = body.take(4)
    if kind == b"nclx":
        return kind + _exactly(body, 7)
    profile = icc.profile(body.rest())
    return kind + profile if kind in (b"prof", b"rICC") and profile is not None else None


def _configuration(body: Reader) -> bytes:
    """The units that may follow repeat those at the beginning of the picture data."""
    fixed = body.take(4)
    if fixed[0] != 0x81:
        broken("its AV1 configuration is wrong")
    return fixed


def _auxiliary(body: Reader) -> bytes | None:
    body.full(0)
    name = body.rest().split(b"\0", 1)[0]
    return bytes(4) + name + b"\0" if name in ALPHA else None


def _layers(body: Reader) -> bytes:
    large = body.take(1)
    return large + _exactly(body, 12 if large[0] & 1 else 6)


def _colour_volume(body: Reader) -> bytes:
    """Primaries and three luminances, each where a bit of the first byte says so."""
    present = body.take(1)
    sizes = {0x20: 24, 0x10: 4, 0x08: 4, 0x04: 4}
    return present + _exactly(body, sum(size for bit, size in sizes.items() if present[0] & bit))


def _crop(body: Reader) -> bytes | None:
    """Width, height and the shifts of the middle, as fractions. Browsers do not look at it, others refuse nonsense."""
    data = _exactly(body, 32)
    numbers = [int.from_bytes(data[at : at + 4], "big", signed=True) for at in range(0, 32, 4)]
    sensible = all(number > 0 for number in numbers[:4]) and numbers[5] and numbers[7]
    return data if sensible else None


_PROPERTIES: dict[bytes, Callable[[Reader], bytes | None]] = {
    b"pixi": _channels,
    b"colr": _colour,
    b"clap": _crop,
    b"av1C": _configuration,
    b"auxC": _auxiliary,
    b"auxi": _auxiliary,
    b"a1lx": _layers,
    b"cclv": _colour_volume,
}


KINDS = frozenset({*LENGTHS, *FULL_LENGTHS, *_PROPERTIES})


def is_hdr(properties: Iterable[Property]) -> bool:
    """Whether colours are coded for more than the standard range of brightness."""
    return any(
        kind == b"colr" and body.startswith(b"nclx") and int.from_bytes(body[6:8], "big") in HDR_TRANSFERS
        for kind, body in properties
    )


def shown(width: int, height: int, properties: Iterable[Property]) -> tuple[int, int]:
    """Width and height as browsers show them: turned, but never cropped; they do not look at clap."""
    for kind, body in properties:
        if kind == b"irot" and body[0] & 1:
            width, height = height, width
    return width, height
