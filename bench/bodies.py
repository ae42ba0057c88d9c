"""Pictures to send: as large in bytes and pixels as people's are, made of noise, and the same in every run."""

from __future__ import annotations

import base64
import functools
import io
import json
import random
from collections.abc import Callable

from PIL import Image

BOUNDARY = "bench-boundary-7MA4YWxkTrZu0gW"
FORM_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
ORIENTATION, GPS = 0x0112, 0x8825

MIX = {"46 KB": 6, "750 KB": 5, "2.9 MB": 4, "PNG 1 MB": 2, "GIF": 1, "WebP": 1, "AVIF": 1}
"""What people send, of twenty: small pictures, photos from the web and the phone, screenshots, and the rest."""


@functools.cache
def picture(name: str) -> bytes:
    """One of PICTURES."""
    return PICTURES[name]()


def extension(name: str) -> str:
    """What its file name ends with."""
    return {"PNG": "png", "GIF": "gif", "WebP": "webp", "AVIF": "avif"}.get(name.split()[0], "jpg")


@functools.cache
def form(name: str) -> bytes:
    """A picture as the body of a form with one part."""
    ext = extension(name)
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="photo.{ext}"\r\n'
    mime = "jpeg" if ext == "jpg" else ext
    return f"{head}Content-Type: image/{mime}\r\n\r\n".encode() + picture(name) + f"\r\n--{BOUNDARY}--\r\n".encode()


@functools.cache
def call(name: str) -> bytes:
    """A picture as an agent sends it: a call of the tool upload_image."""
    ext = extension(name)
    data = base64.b64encode(picture(name)).decode()
    arguments = {"filename": f"photo.{ext}", "mime": f"image/{'jpeg' if ext == 'jpg' else ext}", "data_base64": data}
    params = {"name": "upload_image", "arguments": arguments}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()


def names_of(case: str) -> list[str]:
    """The pictures that a case sends in turn."""
    if case != "mix":
        return [case]
    names = [name for name, times in MIX.items() for _ in range(times)]
    random.Random(1).shuffle(names)
    return names


def _noise(width: int, height: int, grain: float, how: Image.Resampling = Image.Resampling.BICUBIC) -> Image.Image:
    small = (int(width / grain), int(height / grain))
    pixels = random.Random(width).randbytes(3 * small[0] * small[1])
    return Image.frombytes("RGB", small, pixels).resize((width, height), how)


def _encoded(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def _lossy(format: str, size: int, width: int, height: int, **options: object) -> bytes:
    """A photo with EXIF as a phone writes it, at the quality that comes nearest to `size` bytes from below."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    exif[GPS] = {1: "N", 2: (48.0, 8.0, 0.0)}
    image = _noise(width, height, grain=8)
    low, high, best = 1, 97, b""
    while low <= high:
        middle = (low + high) // 2
        encoded = _encoded(image, format, quality=middle, exif=exif.tobytes(), **options)
        if len(encoded) <= size:
            best, low = encoded, middle + 1
        else:
            high = middle - 1
    return best


def _screenshot(size: int) -> bytes:
    """A PNG of many even areas."""
    grain = 2.0
    while len(encoded := _encoded(_noise(1920, 1080, grain, Image.Resampling.NEAREST), "PNG")) > size:
        grain += 0.25
    return encoded


def _animation(frames: int) -> bytes:
    first, *others = [
        _noise(480 + number, 270, grain=4).crop((0, 0, 480, 270)).quantize(64) for number in range(frames)
    ]
    return _encoded(first, "GIF", save_all=True, append_images=others, duration=50, loop=0)


PICTURES: dict[str, Callable[[], bytes]] = {
    "46 KB": lambda: _lossy("JPEG", 46_000, 640, 480),
    "750 KB": lambda: _lossy("JPEG", 750_000, 2048, 1536),
    "2.9 MB": lambda: _lossy("JPEG", 2_900_000, 4032, 3024),
    "PNG 1 MB": lambda: _screenshot(1_000_000),
    "GIF": lambda: _animation(12),
    "WebP": lambda: _lossy("WEBP", 200_000, 1600, 1200),
    "AVIF": lambda: _lossy("AVIF", 120_000, 1600, 1200, speed=9),
}
