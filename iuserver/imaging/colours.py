"""Colours that a picture without an ICC profile declares by numbers, and their conversion to sRGB.

Source: ITU-T H.273 for the code points of AVIF's nclx and PNG's cICP; PNG (third edition) 11.3.2 for gAMA and cHRM.
As in Chromium: of a PNG cICP comes before a profile, a profile and sRGB before gAMA and cHRM, and cHRM counts beside
gAMA alone. The transfer functions of H.273 for standard dynamic range count as sRGB's unless they are plain powers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import pyvips

from iuserver.imaging import avif, png
from iuserver.imaging.plan import Plan
from iuserver.imaging.source import Source

Chromaticities = tuple[float, ...]
"""x and y of white, red, green and blue."""
Matrix = list[list[float]]
D65 = (0.3127, 0.3290)
SRGB: Chromaticities = (*D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
PRIMARIES: dict[int, Chromaticities] = {
    5: (*D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (*D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    7: (*D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    9: (*D65, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    12: (*D65, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
}
"""Of those code points that are not sRGB's."""
POWERS = {4: 2.2, 5: 2.8, 8: 1.0}
HDR = (16, 18)
"""The transfer functions PQ and HLG."""
BRADFORD: Matrix = [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
NEARLY = 0.02
"""A power is sRGB's if it is 2.2 give or take this much: converting would change nothing that one sees."""


@dataclass(frozen=True, slots=True)
class Colours:
    """Primaries, and the power that makes light of a value; None where either is sRGB's."""

    primaries: Chromaticities | None = None
    power: float | None = None
    hdr: bool = False


def declared(source: Source, plan: Plan) -> Colours | None:
    """What a clean picture declares; None: nothing, or that it is sRGB, or its profile tells."""
    if plan.mime == "image/png":
        found = _of_png(dict(_chunks(source)))
    elif plan.mime == "image/avif":
        found = _of_code_points(*(avif.code_points(source) or (1, 13)))
    else:
        return None
    return None if found == Colours() else found


def _chunks(source: Source) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a clean PNG before its picture, with what is in them where that is short."""
    position = len(png.MAGIC)
    while len(head := source.at(position, 8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"IDAT":
            return
        yield kind, source.at(position + 8, min(length, 32))
        position += length + 12


def _of_png(chunks: dict[bytes, bytes]) -> Colours:
    if cicp := chunks.get(b"cICP"):
        return _of_code_points(cicp[0], cicp[1])
    if b"iCCP" in chunks or b"sRGB" in chunks or b"gAMA" not in chunks:
        return Colours()
    power = 100_000 / int.from_bytes(chunks[b"gAMA"], "big")
    numbers = struct.unpack(">8I", chunks[b"cHRM"]) if b"cHRM" in chunks else ()
    primaries = tuple(number / 100_000 for number in numbers) or SRGB
    return Colours(
        None if _same(primaries, SRGB) else primaries,
        None if abs(power - 2.2) < NEARLY else power,
    )


def _same(one: Chromaticities, other: Chromaticities) -> bool:
    return all(abs(a - b) < 0.001 for a, b in zip(one, other, strict=True))


def _of_code_points(primaries: int, transfer: int) -> Colours:
    return Colours(PRIMARIES.get(primaries), POWERS.get(transfer), transfer in HDR)


def to_srgb(image: pyvips.Image, colours: Colours) -> pyvips.Image:
    """A picture of 8 bits that declares these colours, in sRGB. Raises pyvips.Error where it declares nonsense."""
    alpha = image[image.bands - 1] if image.hasalpha() else None
    opaque = image[:-1] if alpha else image
    if opaque.bands == 1:
        opaque = opaque.bandjoin([opaque, opaque])
    opaque = opaque.copy(interpretation="srgb")
    if colours.power is None:
        light = opaque.colourspace("scrgb")
    else:
        light = ((opaque / 255) ** colours.power).copy(interpretation="scrgb")
    if colours.primaries:
        light = light.recomb(_between(colours.primaries, SRGB)).copy(interpretation="scrgb")
    shown = light.colourspace("srgb")
    return shown.bandjoin(alpha) if alpha else shown


# Matrices: IEC 61966-2-1 and ICC.1:2022, annex E, for the change of white.


def _between(primaries: Chromaticities, target: Chromaticities) -> Matrix:
    """From linear light in some primaries to that in others."""
    adapted = _times(_adaptation(primaries[:2], target[:2]), _to_xyz(primaries))
    return _times(_inverse(_to_xyz(target)), adapted)


def _to_xyz(primaries: Chromaticities) -> Matrix:
    columns = [_xyz(*primaries[at : at + 2]) for at in (2, 4, 6)]
    matrix = [list(row) for row in zip(*columns, strict=True)]
    scale = _apply(_inverse(matrix), _xyz(*primaries[:2]))
    return [[value * factor for value, factor in zip(row, scale, strict=True)] for row in matrix]


def _adaptation(white: tuple[float, ...], target: tuple[float, ...]) -> Matrix:
    before, after = (_apply(BRADFORD, _xyz(*each)) for each in (white, target))
    scaled = [[value * a / b for value in row] for row, a, b in zip(BRADFORD, after, before, strict=True)]
    return _times(_inverse(BRADFORD), scaled)


def _xyz(x: float, y: float) -> list[float]:
    if not y:
        raise pyvips.Error("a chromaticity that is none")
    return [x / y, 1.0, (1 - x - y) / y]


def _apply(matrix: Matrix, vector: list[float]) -> list[float]:
    return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]


def _times(one: Matrix, other: Matrix) -> Matrix:
    return [list(row) for row in zip(*(_apply(one, list(column)) for column in zip(*other, strict=True)), strict=True)]


def _inverse(matrix: Matrix) -> Matrix:
    inverse: Matrix = pyvips.Image.new_from_array(matrix).matrixinvert().tolist()
    return inverse
