"""ISO 21496-1: reads the parameters of a gain map from an APP2 segment of a JPEG, and writes the segment anew.

Source: ISO 21496-1 as libultrahdr (gainmapmetadata.cpp) and Skia (SkGainmapInfo.cpp) implement it. In the primary image
the segment has the versions alone, in the map the parameters too.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction

from iuserver.imaging.gain_parameters import Channel, Parameters

NAME = b"urn:iso:std:iso:ts:21496:-1\0"
VERSIONS = struct.Struct(">HH")  # the oldest that a reader has to know, and the writer's
THREE_CHANNELS, BASE_COLOURS, ONE_DENOMINATOR = 0x80, 0x40, 0x08
KNOWN = THREE_CHANNELS | BASE_COLOURS | ONE_DENOMINATOR
ANNOUNCEMENT = NAME + VERSIONS.pack(0, 0)
"""What the segment of the primary image says."""
HEADROOMS = "II"
CHANNEL = "iiIii"
"""The numerators of a channel; minimum, maximum and the offsets are signed."""


def announces(body: bytes) -> bool:
    """Whether a segment with this body says that there is a gain map of a version that is known."""
    return body.startswith(NAME) and len(body) >= len(ANNOUNCEMENT) and body[len(NAME) :][:2] == b"\0\0"


def read(body: bytes) -> Parameters | None:
    """The parameters that a segment with this body tells, or None where it tells none that can be applied."""
    if not announces(body) or len(body) == len(ANNOUNCEMENT):
        return None
    flags, numbers = body[len(ANNOUNCEMENT)], body[len(ANNOUNCEMENT) + 1 :]
    if flags & ~KNOWN:
        return None
    form = HEADROOMS + CHANNEL * (3 if flags & THREE_CHANNELS else 1)
    try:
        base, other, *values = _one_denominator(form, numbers) if flags & ONE_DENOMINATOR else _fractions(form, numbers)
    except (struct.error, ZeroDivisionError):
        return None
    channels = tuple(Channel(*values[start : start + 5]) for start in range(0, len(values), 5))
    parameters = Parameters(channels, base, other, bool(flags & BASE_COLOURS))
    return parameters if parameters.sound else None


def _fractions(form: str, numbers: bytes) -> Iterator[Fraction]:
    """Numerators, each followed by its denominator."""
    values = struct.unpack_from(">" + "".join(f"{kind}I" for kind in form), numbers)
    return map(Fraction, values[::2], values[1::2])


def _one_denominator(form: str, numbers: bytes) -> Iterator[Fraction]:
    """Numerators that share the denominator that comes first."""
    denominator, *values = struct.unpack_from(">I" + form, numbers)
    return (Fraction(value, denominator) for value in values)


def write(parameters: Parameters) -> bytes:
    """The body of a segment with these parameters."""
    flags = (THREE_CHANNELS if len(parameters.channels) == 3 else 0) | (BASE_COLOURS if parameters.base_colours else 0)
    form, values = HEADROOMS, [parameters.base_headroom, parameters.other_headroom]
    for channel in parameters.channels:
        form += CHANNEL
        values += [channel.minimum, channel.maximum, channel.gamma, channel.base_offset, channel.other_offset]
    packed = (struct.pack(f">{kind}I", *_fitting(value)) for kind, value in zip(form, values, strict=True))
    return ANNOUNCEMENT + bytes([flags]) + b"".join(packed)


def _fitting(value: Fraction) -> tuple[int, int]:
    """A numerator of 31 bits and a denominator of 32 that make this value, or the nearest that they can make."""
    if abs(value.numerator) <= 0x7FFFFFFF and value.denominator <= 0xFFFFFFFF:
        return value.as_integer_ratio()
    limit = 0xFFFFFFFF if abs(value) < Fraction(1, 2) else int(0x7FFFFFFE / abs(value))
    return value.limit_denominator(max(1, limit)).as_integer_ratio()
