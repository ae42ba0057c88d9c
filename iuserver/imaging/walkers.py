"""Which walker a file gets, decided by its first bytes alone."""

from __future__ import annotations

from collections.abc import Callable

from iuserver.errors import Fault
from iuserver.imaging import jpeg, png
from iuserver.imaging.plan import Limits, Plan
from iuserver.imaging.source import Source

Walker = Callable[[Source, Limits], Plan]

WALKERS: dict[bytes, Walker] = {jpeg.MAGIC: jpeg.walk, png.MAGIC: png.walk}


def walker_for(head: bytes) -> Walker:
    """The walker for a file that begins with `head`. Raises Fault("unsupported_type")."""
    for magic, walker in WALKERS.items():
        if head.startswith(magic):
            return walker
    raise Fault("unsupported_type", "Unsupported file type: the bytes are neither a JPEG nor a PNG image")
