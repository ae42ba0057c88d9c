"""Small pictures made by the tests, with secrets planted in every place that must be removed."""

from __future__ import annotations

import io
import json
import random
import re
import struct
import subprocess
import warnings
import zlib
from functools import lru_cache

import pyvips
from PIL import Image, ImageChops, ImageStat, PngImagePlugin

SECRET = b"PLANTED-SECRET"
ORIENTATION = 0x0112
GPS = 0x8825


def noise(width: int = 48, height: int = 32, mode: str = "RGB", seed: int = 1) -> Image.Image:
    """A picture in which every pixel counts."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    return Image.frombytes(mode, (width, height), random.Random(seed).randbytes(width * height * bands))


@lru_cache(maxsize=1)
def icc_profile() -> bytes:
    """A real ICC profile, the sRGB one that libvips brings."""
    return bytes(pyvips.Operation.call("profile_load", "srgb"))


def exif(orientation: int = 6) -> Image.Exif:
    """What a phone writes: a turn, a maker, a position."""
    block = Image.Exif()
    block[ORIENTATION] = orientation
    block[0x010F] = SECRET.decode()
    block[GPS] = {1: "N", 2: (48.0, 8.0, 14.0), 3: "E", 4: (11.0, 34.0, 31.0)}
    return block


def orientation_tiff(value: int, kind: int = 3, count: int = 1) -> bytes:
    """A TIFF structure with an orientation tag alone; a SHORT (3) is what the specification asks for."""
    form = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I"}[kind]
    entry = struct.pack(">HHI4s", ORIENTATION, kind, count, struct.pack(">" + form, value))
    return b"MM\0*" + struct.pack(">IH", 8, 1) + entry + bytes(4)


def density_tiff(
    resolution: tuple[int, int] = (144, 1),
    sides: tuple[int, int] = (32, 16),
    unit: int = 2,
    orientation: int | None = None,
    beside: bytes = b"",
) -> bytes:
    """A TIFF structure with a resolution in IFD0, and in the Exif IFD the sides that a picture is to have at 72 dpi.

    `beside` is what stands in IFD0 as ImageDescription.
    """
    entries = [(0x010E, 2, len(beside), 0)] if beside else []
    entries += [] if orientation is None else [(ORIENTATION, 3, 1, orientation << 16)]
    entries += [(0x011A, 5, 1, 0), (0x011B, 5, 1, 0), (0x0128, 3, 1, unit << 16), (0x8769, 4, 1, 0)]
    behind = 8 + 2 + 12 * len(entries) + 4
    places = {0x011A: behind, 0x011B: behind, 0x8769: behind + 8, 0x010E: behind + 8 + 30}
    ifd = b"".join(
        struct.pack(">HHII", tag, kind, count, places.get(tag, value)) for tag, kind, count, value in entries
    )
    exif_ifd = struct.pack(">HHHIIHHII", 2, 0xA002, 4, 1, sides[0], 0xA003, 4, 1, sides[1]) + bytes(4)
    head = b"MM\0*" + struct.pack(">IH", 8, len(entries))
    return head + ifd + bytes(4) + struct.pack(">II", *resolution) + exif_ifd + beside


def jpeg(image: Image.Image | None = None, **options: object) -> bytes:
    """A JPEG as Pillow writes it."""
    buffer = io.BytesIO()
    (image or noise()).save(buffer, "JPEG", **{"quality": 90, **options})
    return buffer.getvalue()


def segment(marker: int, body: bytes) -> bytes:
    """A JPEG marker segment."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def phone_jpeg(orientation: int = 6, image: Image.Image | None = None, **options: object) -> bytes:
    """A JPEG with a secret in every removable place: EXIF, XMP, IPTC, MPF, JFXX, comments, unknown APPn, trailer."""
    plain = jpeg(image, exif=exif(orientation).tobytes(), icc_profile=icc_profile(), **options)
    hidden = b"".join(
        [
            segment(0xE0, b"JFXX\0\x10" + SECRET),
            segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + SECRET),
            segment(0xE2, b"MPF\0" + SECRET),
            segment(0xE5, SECRET),
            segment(0xED, b"Photoshop 3.0\0" + SECRET),
            segment(0xFE, SECRET),
        ]
    )
    before_scan = plain.index(b"\xff\xda")
    return plain[:2] + hidden + plain[2:before_scan] + segment(0xFE, SECRET) + plain[before_scan:] + SECRET


def icc_segment(number: int, count: int, data: bytes) -> bytes:
    """A part of an ICC profile in a JPEG."""
    return segment(0xE2, b"ICC_PROFILE\0" + bytes([number, count]) + data)


def samsung_trailer(*entries: bytes) -> bytes:
    """What a Samsung phone writes behind a JPEG: entries, and a directory that tells how far before it each begins."""
    blocks = [struct.pack("<HHI", 0, 0x0A01, 4) + b"Name" + entry for entry in entries]
    body = b"".join(blocks)
    directory = b"SEFH" + struct.pack("<II", 106, len(blocks))
    begin = 0
    for block in blocks:
        directory += struct.pack("<HHII", 0, 0x0A01, len(body) - begin, len(block))
        begin += len(block)
    return body + directory + struct.pack("<I", len(directory)) + b"SEFT"


def video(length: int, seed: int = 1) -> bytes:
    """An MP4 of random bytes, in which markers of JPEG turn up by chance."""
    return (
        b"\0\0\0\x18ftypmp42\0\0\0\0isommp42"
        + struct.pack(">I4s", length + 8, b"mdat")
        + (SECRET + random.Random(seed).randbytes(length))
    )


def with_bad_sector(data: bytes, seed: int) -> bytes:
    """A file as a damaged disk gives it back: 512 bytes, wherever a sector may be, are others."""
    chance = random.Random(seed)
    start = 512 * chance.randrange(len(data) // 512)
    return data[:start] + chance.randbytes(512) + data[start + 512 :]


def chunk(kind: bytes, data: bytes) -> bytes:
    """A PNG chunk with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(image: Image.Image | None = None, **options: object) -> bytes:
    """A PNG as Pillow writes it."""
    buffer = io.BytesIO()
    (image or noise()).save(buffer, "PNG", **options)
    return buffer.getvalue()


def phone_png(orientation: int = 8, image: Image.Image | None = None) -> bytes:
    """A PNG with a secret in every removable place: eXIf, texts, time, unknown chunks, trailer."""
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Comment", SECRET.decode())
    texts.add_text("Zipped", SECRET.decode(), zip=True)
    texts.add_itxt("XML:com.adobe.xmp", SECRET.decode())
    plain = png(image, pnginfo=texts, exif=exif(orientation), icc_profile=icc_profile(), dpi=(72, 72))
    hidden = chunk(b"tIME", struct.pack(">HBBBBB", 2026, 11, 22, 1, 2, 3)) + chunk(b"prVt", SECRET)
    end = plain.index(b"IEND") - 4
    after_header = 8 + 25
    return (
        plain[:after_header] + hidden + plain[after_header:end] + chunk(b"tEXt", b"k\0" + SECRET) + plain[end:] + SECRET
    )


def apng(frames: int = 3) -> bytes:
    """An animated PNG."""
    first, *others = [noise(seed=number) for number in range(frames)]
    return png(first, save_all=True, append_images=others, duration=50)


def phone_gif(frames: int = 3) -> bytes:
    """An animated GIF with a secret in every removable place: comments, text, XMP, unknown extensions, trailer."""
    first, *others = [noise(24, 16, "L", seed=number) for number in range(frames)]
    buffer = io.BytesIO()
    first.save(buffer, "GIF", save_all=True, append_images=others, duration=50, loop=3, comment=SECRET)
    plain = buffer.getvalue()
    block = bytes([len(SECRET)]) + SECRET + b"\0"
    hidden = [
        b"!\xfe" + block,
        b"!\xff\x0bXMP DataXMP" + block,
        b"!\xff\x0bUnknown1234" + block,
        b"!\x77" + block,
    ]
    return plain[:-1] + b"".join(hidden) + b";" + SECRET


def gif(image: Image.Image) -> bytes:
    """A GIF as Pillow writes it."""
    buffer = io.BytesIO()
    image.save(buffer, "GIF")
    return buffer.getvalue()


def avif(image: Image.Image, **options: object) -> bytes:
    """An AVIF as Pillow writes it."""
    buffer = io.BytesIO()
    image.save(buffer, "AVIF", **{"speed": 9, **options})
    return buffer.getvalue()


def avif_with_exif_alone() -> bytes:
    """An AVIF of 64 x 32 whose EXIF alone tells to turn it; Pillow would write that as irot."""
    block = Image.Exif()
    block[ORIENTATION + 1] = 6
    data = avif(striped(), exif=block)
    other, turn = (struct.pack(">HHIH", tag, 3, 1, 6) for tag in (ORIENTATION + 1, ORIENTATION))
    assert other in data
    return data.replace(other, turn)


def cropped_avif() -> bytes:
    """An AVIF of 64 x 32 of which viewers that heed clap show half: it stands where the turn of another one stood."""
    turned = avif(striped(), exif=exif(6))
    place = turned.index(b"irot") - 4
    crop = struct.pack(">I4s8I", 40, b"clap", 32, 1, 16, 1, 0, 1, 0, 1)
    data = bytearray(turned[:place] + crop + turned[place + 9 :])
    for kind in (b"meta", b"iprp", b"ipco"):
        at = data.index(kind) - 4
        data[at : at + 4] = struct.pack(">I", struct.unpack_from(">I", data, at)[0] + 40 - 9)
    start, count = data.index(b"iloc") + 10, struct.unpack_from(">H", data, data.index(b"iloc") + 10)[0]
    for item in range(count):
        at = start + 2 + 14 * item + 6
        data[at : at + 4] = struct.pack(">I", struct.unpack_from(">I", data, at)[0] + 40 - 9)
    return bytes(data)


def phone_webp(orientation: int = 6, frames: int = 1, image: Image.Image | None = None) -> bytes:
    """A WebP, animated or not, with a secret in every removable place: EXIF, XMP, unknown chunks, trailer."""
    first, *others = [noise(24, 16, seed=number) for number in range(frames)]
    first = image or first
    buffer = io.BytesIO()
    hidden = {"exif": exif(orientation).tobytes(), "xmp": SECRET, "icc_profile": icc_profile()}
    first.save(buffer, "WEBP", save_all=frames > 1, append_images=others, duration=50, quality=90, **hidden)
    unknown = b"wxyz" + len(SECRET).to_bytes(4, "little") + SECRET
    body = buffer.getvalue()[8:] + unknown
    return b"RIFF" + len(body).to_bytes(4, "little") + body + SECRET


def phone_avif(frames: int = 1) -> bytes:
    """An AVIF, a still or a sequence, with secrets in EXIF, XMP, an unknown box and a trailer."""
    first, *others = [noise(24, 16, seed=number) for number in range(frames)]
    buffer = io.BytesIO()
    hidden = {"exif": exif(1).tobytes(), "xmp": SECRET, "icc_profile": icc_profile()}
    first.save(buffer, "AVIF", save_all=frames > 1, append_images=others, duration=50, speed=9, **hidden)
    box = struct.pack(">I4s", len(SECRET) + 8, b"free") + SECRET
    return buffer.getvalue() + box + box.replace(b"free", b"udta")


def striped() -> Image.Image:
    """A picture that looks different whichever way it is turned."""
    image = Image.new("RGB", (64, 32), "white")
    image.paste("red", (0, 0, 32, 16))
    image.paste("blue", (32, 16, 64, 32))
    image.paste("green", (0, 16, 16, 32))
    return image


def turned(upright: Image.Image, orientation: int) -> Image.Image:
    """How a camera stores a picture whose EXIF orientation (Exif 2.32, tag 0x0112) is this one."""
    method = Image.Transpose
    undo = {
        2: method.FLIP_LEFT_RIGHT,
        3: method.ROTATE_180,
        4: method.FLIP_TOP_BOTTOM,
        5: method.TRANSPOSE,
        6: method.ROTATE_90,
        7: method.TRANSVERSE,
        8: method.ROTATE_270,
    }
    return upright.transpose(undo[orientation]) if orientation in undo else upright


def looks_like(data: bytes, image: Image.Image) -> bool:
    """Whether a stored picture shows the same, give or take what JPEG changes."""
    with Image.open(io.BytesIO(data)) as stored:
        difference = ImageChops.difference(stored.convert("RGB"), image)
        return max(ImageStat.Stat(difference).mean) < 4


def pixels(data: bytes) -> list[bytes]:
    """Every frame, decoded by Pillow, whatever it thinks of the metadata."""
    with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data)) as image:
        frames = []
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            frames.append(image.convert("RGBA").tobytes())
        return frames


# What exiftool tells of any picture of a format, whoever made it. Anything else is something somebody wrote into it.
ABOUT_THE_FORMAT = {
    "ExifTool": None,
    "System": None,
    "Composite": None,
    "JFIF": None,
    "Adobe": None,
    "ICC": None,
    "QuickTime": None,
    "Meta": None,
    "Track": None,
    "File": "FileType FileTypeExtension MIMEType ExifByteOrder ImageWidth ImageHeight EncodingProcess BitsPerSample"
    " ColorComponents YCbCrSubSampling",
    "PNG": "ImageWidth ImageHeight BitDepth ColorType Compression Filter Interlace Gamma Palette Transparency"
    " BackgroundColor ProfileName AnimationFrames AnimationPlays PixelsPerUnitX PixelsPerUnitY PixelUnits"
    " SRGBRendering WhitePointX WhitePointY RedX RedY GreenX GreenY BlueX BlueY SignificantBits",
    "GIF": "GIFVersion ImageWidth ImageHeight HasColorMap ColorResolutionDepth BitsPerPixel BackgroundColor"
    " PixelAspectRatio AnimationIterations FrameCount Duration TransparentColor",
    "RIFF": "ImageWidth ImageHeight VP8Version HorizontalScale VerticalScale WebP_Flags AlphaPreprocessing"
    " AlphaFiltering AlphaCompression AlphaIsUsed AnimationLoopCount BackgroundColor Duration FrameCount ImageBits",
}


ABOUT_A_GAIN_MAP = {
    "XMP-hdrgm": "Version GainMapMin GainMapMax Gamma OffsetSDR OffsetHDR HDRCapacityMin HDRCapacityMax"
    " BaseRenditionIsHDR",
    "XMP-Container": "DirectoryItemMime DirectoryItemSemantic DirectoryItemLength",
    "MPF0": "MPFVersion NumberOfImages",
    "MPImage1": (
        about_image := "MPImageFlags MPImageFormat MPImageType MPImageLength MPImageStart DependentImage1EntryNumber"
        " DependentImage2EntryNumber"
    ),
    "MPImage2": f"{about_image} MPImage2",
}
"""What it tells of any picture with a gain map."""


def metadata(data: bytes, with_map: bool = False) -> dict[str, object]:
    """Every tag that exiftool finds and that is not about the format: name (without its group) and value.

    With a map those are left out, too, that are about the map.
    """
    command = ["exiftool", "-j", "-n", "-a", "-ee", "-G1", "-"]
    told = json.loads(subprocess.run(command, input=data, capture_output=True, check=True).stdout)[0]
    found = {}
    for tag, value in told.items():
        group, _, name = tag.rpartition(":")
        known = ABOUT_THE_FORMAT.get(re.split(r"[-_\d]", group)[0], "")
        if with_map and name in ABOUT_A_GAIN_MAP.get(group, "").split():
            continue
        if tag != "SourceFile" and known is not None and name not in known.split():
            found[name] = value
    return found
