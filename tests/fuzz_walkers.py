"""Coverage-guided fuzzing of the walkers, by hand: `make fuzz`, or `python -m tests.fuzz_walkers FORMAT SECONDS`.

Any bytes must yield a clean file that stays the same when it is cleaned again, or a Fault; nothing else. Starts from
the tests' own pictures, and from the corpus that TEST_CORPUS names.
"""

from __future__ import annotations

import contextlib
import os
import struct
import sys
import tempfile
import zlib
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["iuserver.imaging"]):
    from iuserver.errors import Fault
    from iuserver.imaging.source import Source
    from iuserver.imaging.walkers import HEAD, walker_for

from tests import gain_maps, pictures
from tests.walking import clean_by

SEEDS = {
    "jpeg": [
        pictures.phone_jpeg(),
        pictures.jpeg(progressive=True),
        pictures.jpeg(pictures.noise(mode="CMYK")),
        pictures.jpeg(pictures.noise(64, 32), exif=b"Exif\0\0" + pictures.density_tiff(orientation=6)),
        *(gain_maps.photo(dialect, gain_maps.scene(64, 48)) for dialect in gain_maps.DIALECTS),
    ],
    "png": [pictures.phone_png(), pictures.apng()],
    "gif": [pictures.phone_gif()],
    "webp": [pictures.phone_webp(), pictures.phone_webp(frames=3)],
    "avif": [pictures.phone_avif(), pictures.phone_avif(frames=3)],
}


def clean(data: bytes) -> bytes:
    return clean_by(walker_for(Source(data).at(0, HEAD)), data)


def examine(data: bytes) -> None:
    """What libFuzzer calls: an exception is a finding."""
    once = None
    with contextlib.suppress(Fault):
        once = clean(data)
    if once is not None and clean(once) != once:
        raise AssertionError("what was cleaned is not clean")


def with_right_checksums(data: bytes) -> bytes:
    """A PNG whose chunks have the checksums that their bytes ask for; without them no mutation would get far."""
    result, position = bytearray(data), 8
    while position + 12 <= len(result):
        (length,) = struct.unpack_from(">I", result, position)
        stop = position + 8 + length
        if stop + 4 > len(result):
            break
        struct.pack_into(">I", result, stop, zlib.crc32(result[position + 4 : stop]))
        position = stop + 4
    return bytes(result)


def main() -> None:
    kind, seconds = sys.argv[1], sys.argv[2]
    seeds = list(SEEDS[kind])
    if "TEST_CORPUS" in os.environ:
        found = Path(os.environ["TEST_CORPUS"]).glob(f"*{kind}*")
        seeds += [path.read_bytes() for path in found if path.stat().st_size < 40_000]
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(seeds):
            (Path(folder) / str(number)).write_bytes(seed)
        options = [f"-max_total_time={seconds}", "-max_len=40000", "-timeout=10", "-print_final_stats=1", folder]
        one = (lambda data: examine(with_right_checksums(data))) if kind == "png" else examine
        atheris.Setup([sys.argv[0], *options], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
