"""Thumbnails: a small WebP of a stored picture, upright and in sRGB; and the choice of the library that decodes it.

Seconds of processor time and megabytes that one thumbnail takes beside the libraries themselves (2 cores, 2026-11-29):

| picture | Pillow-SIMD | pyvips |
|---|---|---|
| JPEG of 12 MP, 4:2:0 | 0.024, 4 MB | 0.035, 8 MB |
| JPEG of 12 MP, progressive | 0.09, 38 MB | 0.13, 41 MB |
| JPEG of 0.5 MP | 0.004, 4 MB | 0.008, 5 MB |

Pillow-SIMD, as pip builds it, has neither colour management nor WebP: the rest is libvips'.
"""

from __future__ import annotations

import contextlib
import gc
import io
from typing import Any

import pyvips

try:  # pip may have installed none
    # TiffImagePlugin reads EXIF; it is imported now, as a confined worker opens no file of a library's any more.
    from PIL import TiffImagePlugin  # noqa: F401
    from PIL.Image import Resampling
    from PIL.JpegImagePlugin import JpegImageFile
except ImportError:
    JpegImageFile = None  # type: ignore[assignment,misc]

from iuserver.errors import Fault
from iuserver.imaging.colours import declared, to_srgb
from iuserver.imaging.plan import Plan, Rules, broken_image, write
from iuserver.imaging.source import Source, opened
from iuserver.imaging.walkers import HEAD, walker_for

SIDE = 320
"""Pixels of a thumbnail's longer side; a smaller picture keeps its size."""
MAX_BYTES = 64 * 1024
QUALITIES = (78, 50, 20)
"""The first at which it has at most MAX_BYTES."""
EFFORT = 2
"""Of 6: a third of the time that the default takes, for a tenth more bytes."""
WEIGHTS = {"image/jpeg": 0, "image/png": 1, "image/gif": 1, "image/webp": 1, "image/avif": 2}
"""How much a pixel counts: none where a JPEG is read at a fraction of its size, and AVIF takes twice the memory."""
TINY = 64 * 64
"""Up to so many pixels are stored without loss: chroma at half of their resolution would not do for icons."""
PLAIN_MODES = {"L", "RGB", "CMYK"}
"""Grey, YCbCr and CMYK, as Pillow calls them."""


def make(origin: bytes | str, target: str, rules: Rules) -> int:
    """Write the thumbnail of a clean picture to the new file `target`; returns its size in bytes.

    Raises Fault where there can be none: broken_image, unsupported_type, too_many_pixels.
    """
    with opened(origin) as source:
        plan = walker_for(source.at(0, HEAD))(source, rules.limits)
        check(plan, rules)
        try:
            encoded = _encoded(in_srgb(source, plan, shrunk(origin, plan, *fitted(plan.shown))))
        except (pyvips.Error, OSError, SyntaxError) as error:  # the latter two are Pillow's
            raise broken_image("its pixels cannot be read") from error
        finally:
            gc.collect()  # what libvips has decoded hangs in cycles
        write(source, [encoded], target)
    return len(encoded)


def check(plan: Plan, rules: Rules) -> None:
    """Raises Fault for a picture that is not decoded: too large, or an AVIF sequence, which libvips cannot open."""
    if plan.mime == "image/avif" and plan.frames > 1:
        raise Fault("unsupported_type", "There are no thumbnails of AVIF sequences")
    pixels = plan.width * plan.height * WEIGHTS[plan.mime]
    if pixels > rules.max_decode_pixels:
        raise Fault("too_many_pixels", f"Only pictures of up to {rules.max_decode_pixels} pixels are decoded")


def in_srgb(source: Source, plan: Plan, small: pyvips.Image) -> pyvips.Image:
    """The pixels as their picture declares that they are to be seen; nonsense is ignored. Raises
    Fault("unsupported_type") for HDR, which would have to be mapped to a smaller range."""
    colours = declared(source, plan)
    if colours is None:
        return small
    if colours.hdr:
        raise Fault("unsupported_type", "There are no thumbnails of pictures in PQ and HLG")
    with contextlib.suppress(pyvips.Error):
        return to_srgb(small, colours).copy_memory()
    return small


def fitted(size: tuple[int, int], side: int = SIDE) -> tuple[int, int]:
    """The sides of a thumbnail of a picture with these sides."""
    scale = min(1.0, side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def shrunk(origin: bytes | str, plan: Plan, width: int, height: int) -> pyvips.Image:
    """A picture upright, in sRGB and in these sides. Raises pyvips.Error, OSError, SyntaxError."""
    lies = plan.orientation >= 5
    size = (height, width) if lies else (width, height)
    small = _by_pillow(origin, *size) if plan.mime == "image/jpeg" else None
    if small is None:
        small = _by_vips(origin, plan, *size)
    return _upright(small, plan.orientation)


def is_for_pillow(mode: str, tagged: bool) -> bool:
    """Whether Pillow decodes a JPEG: one without a profile. It is faster; and it makes of CMYK what browsers do."""
    return mode in PLAIN_MODES and not tagged


def _by_pillow(origin: bytes | str, width: int, height: int) -> pyvips.Image | None:
    """The first frame as Pillow decodes it, or None where libvips is to do it."""
    if JpegImageFile is None:
        return None
    with JpegImageFile(io.BytesIO(origin) if isinstance(origin, bytes) else origin) as picture:
        if not is_for_pillow(picture.mode, "icc_profile" in picture.info):
            return None
        picture.draft(picture.mode, (width, height))
        small = picture.resize((width, height), Resampling.BICUBIC)
        if small.mode == "CMYK":
            small = small.convert("RGB")
    bands, kind = (1, "b-w") if small.mode == "L" else (3, "srgb")
    return pyvips.Image.new_from_memory(small.tobytes(), width, height, bands, "uchar").copy(interpretation=kind)


def _by_vips(origin: bytes | str, plan: Plan, width: int, height: int) -> pyvips.Image:
    """The first frame as libvips decodes it. A profile that cannot be applied is ignored, as browsers do."""
    options: dict[str, Any] = {"height": height, "size": "force", "no_rotate": True}
    if isinstance(origin, str):
        header, shrink = pyvips.Image.new_from_file(origin), pyvips.Image.thumbnail
    else:
        header, shrink = pyvips.Image.new_from_buffer(origin, ""), pyvips.Image.thumbnail_buffer
    if header.get_typeof("icc-profile-data"):
        with contextlib.suppress(pyvips.Error):
            return shrink(origin, width, **options, export_profile="srgb").copy_memory()
    return shrink(origin, width, **options).copy_memory()


def _upright(image: pyvips.Image, orientation: int) -> pyvips.Image:
    """The pixels as an EXIF orientation says that they are to be shown."""
    image = image.copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    return image.autorot()


def _encoded(image: pyvips.Image) -> bytes:
    """The WebP, without metadata: neither a profile nor anything else."""
    if image.width * image.height <= TINY:
        return bytes(image.webpsave_buffer(lossless=True, effort=EFFORT, keep="none"))
    for quality in QUALITIES:
        encoded: bytes = image.webpsave_buffer(Q=quality, effort=EFFORT, keep="none")
        if len(encoded) <= MAX_BYTES:
            break
    return encoded
