"""Thumbnails in the worker: which library decodes what, how large they are, and what is not decoded at all."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from iuserver.errors import Fault
from iuserver.imaging import thumbnail
from iuserver.imaging.plan import Limits, Rules
from tests import pictures

LIMITS = Limits(max_side=16384, max_pixels=50_000_000, max_total_pixels=200_000_000, max_frames=100, max_scans=100)
RULES = Rules(LIMITS, bake=False, max_decode_pixels=1_000_000, hdr=True)


def made(tmp_path: Path, data: bytes, rules: Rules = RULES) -> bytes:
    target = tmp_path / "thumbnail"
    target.unlink(missing_ok=True)
    assert thumbnail.make(data, str(target), rules) == target.stat().st_size
    return target.read_bytes()


@pytest.fixture
def by_vips(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The pictures that libvips has decoded."""
    decoded: list[object] = []
    real = thumbnail._by_vips

    def noted(origin: bytes | str, *more: Any) -> Any:
        decoded.append(origin)
        return real(origin, *more)

    monkeypatch.setattr(thumbnail, "_by_vips", noted)
    return decoded


@pytest.mark.parametrize(
    ("name", "data", "vips"),
    [
        ("a JPEG", pictures.jpeg(), False),
        ("a grey one", pictures.jpeg(pictures.noise(mode="L")), False),
        ("a progressive one", pictures.jpeg(progressive=True), False),
        ("one in CMYK", pictures.jpeg(pictures.noise(mode="CMYK")), False),
        ("one with a profile", pictures.jpeg(icc_profile=pictures.icc_profile()), True),
        ("a PNG", pictures.png(), True),
        ("a GIF", pictures.gif(pictures.noise()), True),
        ("an AVIF", pictures.avif(pictures.noise(), speed=9), True),
    ],
)
def test_pillow_decodes_jpegs_without_a_profile_and_libvips_the_rest(
    tmp_path: Path, by_vips: list[object], name: str, data: bytes, vips: bool
) -> None:
    made(tmp_path, data)
    assert (by_vips == [data]) == vips


def test_without_pillow_libvips_decodes_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    striped = pictures.striped().resize((640, 320))
    with_pillow = made(tmp_path, pictures.jpeg(striped))
    monkeypatch.setattr(thumbnail, "JpegImageFile", None)
    without = made(tmp_path, pictures.jpeg(striped))
    assert pictures.looks_like(without, Image.open(io.BytesIO(with_pillow)).convert("RGB"))


@pytest.mark.parametrize(
    ("size", "fitted"),
    [
        ((320, 320), (320, 320)),
        ((4000, 3000), (320, 240)),
        ((3000, 4000), (240, 320)),
        ((16384, 1), (320, 1)),
        ((100, 5), (100, 5)),
        ((1, 1), (1, 1)),
    ],
)
def test_the_longer_side_is_reduced_and_none_is_lost(size: tuple[int, int], fitted: tuple[int, int]) -> None:
    assert thumbnail.fitted(size) == fitted


def test_a_jpeg_may_have_more_pixels_than_others_as_it_is_read_at_a_fraction(tmp_path: Path) -> None:
    large = Image.new("RGB", (1600, 1200), "teal")
    made(tmp_path, pictures.jpeg(large))
    for data in (pictures.png(large), pictures.avif(Image.new("RGB", (800, 700)), speed=9)):
        with pytest.raises(Fault) as caught:
            made(tmp_path, data)
        assert caught.value.code == "too_many_pixels"
    made(tmp_path, pictures.png(Image.new("RGB", (800, 700))))


def test_however_much_there_is_to_see_it_stays_small(tmp_path: Path) -> None:
    assert len(made(tmp_path, pictures.png(pictures.noise(320, 320)))) <= thumbnail.MAX_BYTES
    assert len(made(tmp_path, pictures.jpeg(pictures.noise(1280, 1280)))) <= thumbnail.MAX_BYTES


# Colours that are declared without a profile


def declaring(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of one colour that declares it by these chunks."""
    plain = pictures.png(Image.new("RGB", (100, 80), (200, 100, 50)))
    return plain[:33] + b"".join(pictures.chunk(*each) for each in chunks) + plain[33:]


P3 = (b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000))
GAMMA = (b"gAMA", struct.pack(">I", 45455))
AS_IT_IS = (200, 100, 50)
OF_P3 = (215, 93, 31)


@pytest.mark.parametrize(
    ("chunks", "shown"),
    [
        ([], AS_IT_IS),
        ([GAMMA], AS_IT_IS),
        ([(b"gAMA", struct.pack(">I", 100_000))], (229, 168, 122)),
        ([GAMMA, P3], OF_P3),
        ([P3], AS_IT_IS),
        ([(b"sRGB", b"\0"), GAMMA, P3], AS_IT_IS),
        ([(b"cICP", bytes([12, 13, 0, 1]))], OF_P3),
        ([(b"cICP", bytes([1, 13, 0, 1])), GAMMA, P3], AS_IT_IS),
        ([GAMMA, (b"cHRM", bytes(32))], AS_IT_IS),
    ],
)
def test_a_png_without_a_profile_is_shown_as_in_chromium(
    tmp_path: Path, chunks: list[tuple[bytes, bytes]], shown: tuple[int, int, int]
) -> None:
    pixel = Image.open(io.BytesIO(made(tmp_path, declaring(*chunks)))).convert("RGB").getpixel((50, 40))
    assert isinstance(pixel, tuple)
    assert max(abs(a - b) for a, b in zip(pixel, shown, strict=True)) <= 4


@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_has_no_thumbnail(tmp_path: Path, transfer: int) -> None:
    avif = bytearray(pictures.avif(pictures.noise(), speed=9))
    at = avif.index(b"nclx") + 4
    avif[at : at + 4] = struct.pack(">HH", 9, transfer)
    for data in (bytes(avif), declaring((b"cICP", bytes([9, transfer, 0, 1])))):
        with pytest.raises(Fault) as caught:
            made(tmp_path, data)
        assert caught.value.code == "unsupported_type"


def test_an_avif_that_declares_primaries_is_converted(tmp_path: Path) -> None:
    avif = bytearray(pictures.avif(Image.new("RGB", (100, 80), AS_IT_IS), speed=9, quality=100))
    at = avif.index(b"nclx") + 4
    avif[at : at + 4] = struct.pack(">HH", 12, 13)
    pixel = Image.open(io.BytesIO(made(tmp_path, bytes(avif)))).convert("RGB").getpixel((50, 40))
    assert isinstance(pixel, tuple)
    assert max(abs(a - b) for a, b in zip(pixel, OF_P3, strict=True)) <= 4
