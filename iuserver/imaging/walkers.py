"""Selects the walker (parser) for a file by its first bytes alone."""

from __future__ import annotations

from collections.abc import Callable

from iuserver.errors import Fault
from iuserver.imaging import avif, gif, jpeg, png, webp
from iuserver.imaging.plan import Limits, Plan
from iuserver.imaging.source import Source

Walker = Callable[[Source, Limits], Plan]

HEAD = 264
"""How many first bytes decide: the type of an AVIF is in one of its brands, of which it may have 64."""

WALKERS: list[tuple[Callable[[bytes], bool], Walker]] = [
    (lambda head: head.startswith(jpeg.MAGIC), jpeg.walk),
    (lambda head: head.startswith(png.MAGIC), png.walk),
    (lambda head: head.startswith(gif.MAGICS), gif.walk),
    (webp.recognises, webp.walk),
    (avif.recognises, avif.walk),
]


def walker_for(head: bytes) -> Walker:
    """The walker for a file that begins with `head`. Raises Fault("unsupported_type")."""
    for recognises, walker in WALKERS:
        if recognises(head):
            return walker
    raise Fault("unsupported_type", "Unsupported file type: the bytes are no PNG, JPEG, WebP, GIF or AVIF image")
