"""Counts the pixels of a GIF image by reading its LZW codes; it decodes nothing else.

Source: CompuServe "Graphics Interchange Format, Version 89a", appendix F.
"""

from __future__ import annotations

MOST_CODES, LONGEST_CODE = 4096, 12


def count_pixels(data: bytes | bytearray, code_size: int, wanted: int) -> int:
    """How many pixels the codes stand for, as far as they are there and make sense; counts no further than `wanted`."""
    clear, end = 1 << code_size, (1 << code_size) + 1
    lengths = [1] * clear + [0, 0]
    width, before, total, held, bits = code_size + 1, 0, 0, 0, 0
    for byte in data:
        held, bits = held | byte << bits, bits + 8
        while bits >= width:
            code, held, bits = held & ((1 << width) - 1), held >> width, bits - width
            if code == clear:
                del lengths[end + 1 :]
                width, before = code_size + 1, 0
                continue
            if code == end or code > len(lengths) or (code == len(lengths) and not before):
                return total
            length = lengths[code] if code < len(lengths) else before + 1
            total += length
            if total >= wanted:
                return total
            if before and len(lengths) < MOST_CODES:
                lengths.append(before + 1)
            if len(lengths) == 1 << width and width < LONGEST_CODE:
                width += 1
            before = length
    return total
