"""The JPEG walker: what it keeps, what it removes, what it refuses."""

from __future__ import annotations

import contextlib
import io
import re

import pytest
import pyvips
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from iuserver.errors import Fault
from iuserver.imaging import jpeg
from iuserver.imaging.plan import Limits, Plan
from iuserver.imaging.source import Source
from tests import pictures
from tests.pictures import SECRET, density_tiff, orientation_tiff, segment
from tests.walking import LIMITS, clean_by, refusal_by, settled_by


def walk(data: bytes) -> Plan:
    return jpeg.walk(Source(data), LIMITS)


def clean(data: bytes) -> bytes:
    return clean_by(jpeg.walk, data)


def refusal(data: bytes, limits: Limits = LIMITS) -> str:
    return refusal_by(jpeg.walk, data, limits)


def test_no_planted_secret_is_in_the_clean_file_and_its_pixels_are_the_same() -> None:
    dirty = pictures.phone_jpeg(orientation=1)
    assert SECRET in dirty
    assert SECRET not in clean(dirty)
    assert pictures.pixels(clean(dirty)) == pictures.pixels(dirty)


def test_the_icc_profile_stays_as_it_was() -> None:
    with Image.open(io.BytesIO(clean(pictures.phone_jpeg()))) as image:
        assert image.info["icc_profile"] == pictures.icc_profile()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_all_that_is_left_of_exif(orientation: int) -> None:
    dirty = pictures.phone_jpeg(orientation, pictures.noise(48, 32))
    with Image.open(io.BytesIO(clean(dirty))) as image:
        assert dict(image.getexif()) == ({} if orientation == 1 else {pictures.ORIENTATION: orientation})
    assert walk(dirty).shown == ((48, 32) if orientation < 5 else (32, 48))


def test_a_file_with_nothing_to_remove_is_kept_as_one_range() -> None:
    tidy = pictures.jpeg()
    assert walk(tidy).prefix == len(tidy)
    assert settled_by(jpeg.walk, tidy + SECRET).prefix == len(tidy)


def test_the_thumbnail_of_jfif_goes_and_its_density_stays() -> None:
    plain = pictures.jpeg(dpi=(72, 72))
    jfif = plain[2:20]
    assert jfif[4:9] == b"JFIF\0"
    with_thumbnail = segment(0xE0, jfif[4:16] + b"\x02\x01" + SECRET[:6])
    cleaned = clean(plain[:2] + with_thumbnail + plain[20:])
    assert SECRET[:6] not in cleaned
    assert cleaned == plain


def test_adobe_colours_survive_without_what_follows_them() -> None:
    cmyk = pictures.jpeg(pictures.noise(mode="CMYK"))
    adobe = cmyk.index(b"\xff\xee")
    body = cmyk[adobe + 4 : adobe + 16]
    dirty = cmyk[:adobe] + segment(0xEE, body + SECRET) + cmyk[adobe + 16 :]
    assert clean(dirty) == clean(cmyk)
    assert pictures.pixels(clean(dirty)) == pictures.pixels(cmyk)


def test_a_comment_between_the_scans_of_a_progressive_file_is_removed() -> None:
    plain = pictures.jpeg(progressive=True)
    second_scan = plain.index(b"\xff\xda", plain.index(b"\xff\xda") + 2)
    dirty = plain[:second_scan] + segment(0xFE, SECRET) + segment(0xE1, SECRET) + plain[second_scan:]
    assert clean(dirty) == clean(plain)


def test_bytes_between_segments_which_decoders_skip_are_removed() -> None:
    plain = pictures.jpeg()
    tables = plain.index(b"\xff\xdb")
    assert clean(plain[:tables] + b"\0" + SECRET + b"\xff\xff" + plain[tables + 1 :]) == clean(plain)


def test_something_that_is_no_icc_profile_does_not_stay_for_being_called_one() -> None:
    plain = pictures.jpeg()
    assert SECRET not in clean(plain[:2] + segment(0xE2, b"ICC_PROFILE\0\x01\x01" + SECRET * 9) + plain[2:])


def test_an_incomplete_icc_profile_is_removed() -> None:
    chunk = segment(0xE2, b"ICC_PROFILE\0\x01\x02" + pictures.icc_profile())
    plain = pictures.jpeg()
    assert clean(plain[:2] + chunk + plain[2:]) == clean(plain)


def test_an_orientation_after_the_first_scan_turns_nothing_as_no_decoder_heeds_it() -> None:
    plain = pictures.jpeg(progressive=True)
    second_scan = plain.index(b"\xff\xda", plain.index(b"\xff\xda") + 2)
    late = segment(0xE1, pictures.exif(6).tobytes())
    assert clean(plain[:second_scan] + late + plain[second_scan:]) == clean(plain)


def test_a_file_of_nothing_but_empty_segments_is_not_walked_for_ever() -> None:
    plain = pictures.jpeg()
    assert refusal(plain[:2] + segment(0xE5, b"") * 10_001 + plain[2:]) == "broken_image"


def test_what_is_clean_stays_the_same() -> None:
    once = clean(pictures.phone_jpeg())
    assert clean(once) == once


KINDS: dict[str, dict[str, object]] = {
    "baseline": {},
    "restarts": {"restart_marker_rows": 1},
    "optimized": {"optimize": True, "subsampling": 0},
    "progressive": {"progressive": True},
    "progressive restarts": {"progressive": True, "restart_marker_rows": 1},
}
"""What Pillow can write."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_every_beginning_of_a_file_is_broken_but_that_which_lacks_the_end_marker_alone(kind: str, mode: str) -> None:
    whole = pictures.jpeg(pictures.noise(16, 16, mode), **KINDS[kind])
    for length in range(len(whole) - 60, len(whole) - 2):
        assert refusal(whole[:length]) == "broken_image"
    for length in range(3, len(whole) - 60, 7):
        assert refusal(whole[:length]) == "broken_image"
    assert clean(whole[:-2]) == clean(whole[:-1]) == clean(whole)


def test_a_progressive_file_that_ends_between_two_scans_is_broken() -> None:
    whole = pictures.jpeg(progressive=True)
    for scan in re.finditer(rb"\xff\xc4|\xff\xda", whole[whole.index(b"\xff\xda") + 2 :]):
        assert refusal(whole[: whole.index(b"\xff\xda") + 2 + scan.start()]) == "broken_image"


# Where the picture ends.

TRAILERS = {
    "names": lambda seed: pictures.samsung_trailer(SECRET, b"2026"),
    "names and a video": lambda seed: pictures.samsung_trailer(SECRET, pictures.video(3000, seed)),
    "a video, then names": lambda seed: pictures.video(3000, seed) + pictures.samsung_trailer(SECRET),
    "a video": lambda seed: SECRET + pictures.video(3000, seed),
    "a thumbnail": lambda seed: SECRET + pictures.jpeg(pictures.noise(16, 16)),
    "a chance end marker, then a video": lambda seed: SECRET + b"\xff\xd9" + SECRET + pictures.video(3000, seed),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("trailer", TRAILERS)
def test_nothing_of_a_trailer_stays_where_the_end_marker_is_missing(kind: str, trailer: str) -> None:
    accepted = 0
    for seed in range(12):
        whole = pictures.jpeg(pictures.noise(17 + 3 * seed, 60 - 3 * seed, seed=seed), quality=75, **KINDS[kind])
        try:
            cleaned = clean(whole[:-2] + TRAILERS[trailer](seed))
        except Fault as fault:
            assert fault.code == "broken_image"  # noqa: PT017  accepted or refused, but never with the trailer
        else:
            assert cleaned == whole
            accepted += 1
    assert accepted == 12 or ("restarts" in kind and "video" in trailer and not trailer.startswith("names"))


@pytest.mark.parametrize(
    "trailer",
    [
        b"",
        bytes(700),
        b"\r\n",
        pictures.jpeg(),
        bytes(30) + pictures.jpeg(),
        pictures.video(3000),
        pictures.samsung_trailer(SECRET, pictures.video(3000)),
    ],
)
def test_a_sound_file_is_never_decoded_whatever_cameras_write_behind_it(trailer: bytes) -> None:
    whole = pictures.jpeg()
    plan = walk(whole + trailer)
    assert plan.doubt is None
    assert plan.prefix == len(whole)


def test_behind_the_end_marker_something_unknown_goes_and_the_picture_is_looked_at() -> None:
    whole = pictures.jpeg()
    assert walk(whole + SECRET).doubt
    assert clean(whole + SECRET) == whole
    assert refusal(whole[:-40] + b"\xff\xd9" + SECRET) == "broken_image"


def test_bytes_too_many_before_the_end_marker_go_where_something_unknown_follows_it() -> None:
    whole = pictures.jpeg()
    for surplus in range(1, 20):
        assert clean(whole[:-2] + SECRET * 9 + b"\0" * surplus + b"\xff\xd9" + SECRET) == whole


def test_limits_of_a_scan_that_some_cameras_get_wrong_are_no_reason_to_refuse() -> None:
    whole = pictures.jpeg()
    data = whole.index(b"\xff\xda") + 14
    wrong = whole[: data - 3] + b"\0\0\0" + whole[data:]
    assert clean(wrong[:-2]) == wrong


def test_the_owner_is_told_what_is_wrong() -> None:
    whole = pictures.jpeg()
    middle = whole.index(b"\xff\xda") + 300
    for damaged, words in [
        (whole[:middle], "The image is broken: it is cut short: the end of its picture data is missing"),
        (
            whole[:middle] + b"\xff\xe5\xff\xff" + whole[middle + 4 :],
            "The image is broken: its picture data is damaged, or it cannot be told where it ends",
        ),
    ]:
        with pytest.raises(Fault) as caught:
            clean(damaged)
        assert caught.value.message == words


# A scan that follows the whole picture.


def in_three_scans() -> bytes:
    """A sequential JPEG of which each component has a scan of its own."""
    greys = [pictures.jpeg(pictures.noise(mode="L", seed=seed)) for seed in (1, 2, 3)]
    frame, scan = greys[0].index(b"\xff\xc0"), greys[0].index(b"\xff\xda")
    size = greys[0][frame + 4 : frame + 9]
    header = segment(0xC0, size + b"\3" + b"".join(bytes([name, 0x11, 0]) for name in (1, 2, 3)))
    tables = greys[0][2:frame] + header + greys[0][frame + 13 : scan]
    scans = [surplus_scan([name], grey[scan + 10 : -2]) for name, grey in zip((1, 2, 3), greys, strict=True)]
    return b"\xff\xd8" + tables + b"".join(scans) + b"\xff\xd9"


def surplus_scan(components: list[int], data: bytes = SECRET * 20, limits: bytes = b"\0\x3f\0") -> bytes:
    selected = b"".join(bytes([component, 0]) for component in components)
    return segment(0xDA, bytes([len(components)]) + selected + limits) + data


@pytest.mark.parametrize("kind", ["baseline", "restarts", "optimized"])
@pytest.mark.parametrize("components", [[1], [1, 2, 3], [9]])
def test_a_scan_behind_the_only_one_goes_as_no_decoder_looks_at_it(kind: str, components: list[int]) -> None:
    whole, surplus = pictures.jpeg(**KINDS[kind]), surplus_scan(components) + b"\xff\xd9"
    for before in (b"", SECRET, segment(0xDB, b"\3" + (SECRET * 5)[:64]), segment(0xFE, SECRET)):
        assert clean(whole[:-2] + before + surplus) == whole
    assert clean(whole + surplus) == whole
    assert clean(whole[:-2] + surplus + surplus[:-2]) == whole


@pytest.mark.parametrize("limits", [b"\0\x3f\0", b"\0\0\0", b"\x01\x3f\0", b"\x3f\x3f\x10"])
def test_a_scan_that_decoders_draw_over_the_whole_picture_is_refused(limits: bytes) -> None:
    for whole in (pictures.jpeg(progressive=True), in_three_scans()):
        surplus = surplus_scan([1], limits=limits) + b"\xff\xd9"
        assert refusal(whole[:-2] + surplus) == "broken_image"
        assert clean(whole + surplus) == whole


def test_a_scan_that_changes_nothing_goes() -> None:
    whole = in_three_scans()
    again = whole[whole.rindex(b"\xff\xda") :]
    assert clean(whole[:-2] + again) == whole


def test_where_the_end_cannot_be_looked_for_a_scan_behind_the_picture_is_refused() -> None:
    arithmetic = pictures.jpeg().replace(b"\xff\xc0", b"\xff\xc9", 1)
    assert walk(arithmetic).prefix == len(arithmetic)
    assert refusal(arithmetic[:-2] + surplus_scan([1]) + b"\xff\xd9") == "broken_image"


@pytest.mark.parametrize("whole", [pictures.jpeg(), pictures.jpeg(progressive=True), in_three_scans()])
def test_scans_that_the_picture_needs_are_kept_without_a_decoder(whole: bytes) -> None:
    plan = walk(whole)
    assert plan.doubt is None
    assert plan.prefix == len(whole)


def test_tables_behind_the_last_scan_go_as_nobody_reads_them() -> None:
    hidden = segment(0xDB, b"\3" + (SECRET * 5)[:64]) + segment(0xC4, b"\0\x0e" + bytes(15) + SECRET)
    for whole in (pictures.jpeg(), pictures.jpeg(progressive=True), in_three_scans()):
        assert clean(whole[:-2] + hidden + b"\xff\xd9") == whole


# Damage.


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_with_a_bad_sector_looks_as_before_or_is_refused(kind: str) -> None:
    smooth = pictures.noise(12, 9).resize((240, 180))
    whole = pictures.jpeg(smooth, **KINDS[kind])
    accepted = 0
    for seed in range(40):
        damaged = pictures.with_bad_sector(whole, seed)
        with contextlib.suppress(Fault):
            cleaned = clean(damaged)
            accepted += 1
            assert as_shown(cleaned) == as_shown(damaged)
    assert accepted > 3


def test_behind_a_stray_marker_a_scan_with_restarts_goes_on() -> None:
    whole = pictures.jpeg(pictures.noise(64, 64), restart_marker_rows=1)
    first, second = whole.index(b"\xff\xd0"), whole.index(b"\xff\xd1")
    for marker in (b"\xff\x01", b"\xff\x9f", b"\xff\xbf"):
        damaged = whole[: first + 40] + marker + whole[first + 42 :]
        assert clean(damaged) == damaged
        assert clean(damaged + SECRET[:0] + pictures.jpeg()) == damaged
    late = whole[: second + 30] + b"\xff\xf7" + whole[second + 32 :]
    with contextlib.suppress(Fault):
        assert as_shown(clean(late)) == as_shown(late)


def as_shown(data: bytes) -> bytes | None:
    """The pixels that libjpeg makes of a file, damaged or not, going on where it can as browsers do."""
    try:
        return bytes(pyvips.Image.jpegload_buffer(data, fail_on="none").write_to_memory())
    except pyvips.Error:
        return None


def test_a_segment_that_goes_anyway_may_have_an_impossible_length() -> None:
    plain = pictures.jpeg(progressive=True)
    second_scan = plain.index(b"\xff\xda", plain.index(b"\xff\xda") + 2)
    for marker in (0xFE, 0xE0, 0xE1, 0xE5, 0xED, 0xDC):
        for length in (b"\0\0", b"\0\1"):
            bad = bytes([0xFF, marker]) + length
            assert clean(plain[:2] + bad + plain[2:]) == plain
            assert clean(plain[:second_scan] + bad + plain[second_scan:]) == plain


def test_a_line_count_of_a_wrong_length_goes() -> None:
    plain = pictures.jpeg()
    assert clean(plain[:-2] + segment(0xDC, SECRET) + plain[-2:]) == plain


# Colours.


def test_of_two_whole_profiles_the_first_stays() -> None:
    plain, profile = pictures.jpeg(), pictures.icc_profile()
    other = profile[:-1] + bytes([profile[-1] ^ 1])
    frame = plain.index(b"\xff\xc0")
    for first, second in ((profile, profile), (profile, other), (other, profile)):
        kept, gone = pictures.icc_segment(1, 1, first), pictures.icc_segment(1, 1, second)
        assert profile_of(clean(plain[:2] + kept + plain[2:frame] + gone + plain[frame:])) == first


def test_a_profile_in_parts_is_put_in_order_and_what_contradicts_it_leaves_none() -> None:
    plain, profile = pictures.jpeg(), pictures.icc_profile()
    parts = [profile[:40], profile[40:200], profile[200:]]
    one, two, three = (pictures.icc_segment(number, 3, part) for number, part in enumerate(parts, 1))
    assert profile_of(clean(plain[:2] + two + three + one + one + plain[2:])) == profile
    for wrong in (one + two, one + one + two + three, one + pictures.icc_segment(2, 4, parts[1]) + two + three):
        assert clean(plain[:2] + wrong + plain[2:]) == plain


def test_bytes_behind_the_size_that_a_profile_tells_go() -> None:
    plain, profile = pictures.jpeg(), pictures.icc_profile()
    padded = profile + SECRET * 3
    one = pictures.icc_segment(1, 1, padded)
    several = pictures.icc_segment(1, 2, padded[:-50]) + pictures.icc_segment(2, 2, padded[-50:])
    for segments in (one, several):
        cleaned = clean(plain[:2] + segments + plain[2:])
        assert SECRET not in cleaned
        assert profile_of(cleaned) == profile
        assert clean(cleaned) == cleaned


def test_a_profile_of_more_than_one_segment_can_be_cut() -> None:
    large = (150_000).to_bytes(4, "big") + pictures.icc_profile()[4:]
    large += bytes(150_000 - len(large)) + SECRET
    parts = [large[start : start + 30_000] for start in range(0, len(large), 30_000)]
    segments = b"".join(pictures.icc_segment(number, len(parts), part) for number, part in enumerate(parts, 1))
    plain = pictures.jpeg()
    cleaned = clean(plain[:2] + segments + plain[2:])
    assert SECRET not in cleaned
    assert profile_of(cleaned) == large[:150_000]


def profile_of(data: bytes) -> object:
    with Image.open(io.BytesIO(data)) as image:
        return image.info.get("icc_profile")


# Turning.


def exif(tiff: bytes, header: bytes = b"Exif\0\0") -> bytes:
    return segment(0xE1, header + tiff)


def test_only_the_first_exif_block_counts() -> None:
    plain = pictures.jpeg()
    upright, turned = exif(orientation_tiff(1)), exif(orientation_tiff(6))
    assert clean(plain[:2] + upright + turned + plain[2:]) == plain
    assert clean(plain[:2] + turned + upright + plain[2:]) == clean(plain[:2] + turned + plain[2:])
    garbage = exif(SECRET)
    assert clean(plain[:2] + garbage + turned + plain[2:]) == plain
    without_tiff = exif(b"")  # which Chromium does not count
    assert walk(plain[:2] + without_tiff + turned + plain[2:]).shown == (32, 48)


def test_a_type_that_browsers_do_not_heed_stays_and_the_answer_says_what_they_show() -> None:
    plain = pictures.jpeg()
    long = plain[:2] + exif(orientation_tiff(6, 4)) + plain[2:]
    assert exif(orientation_tiff(6, 4)) in clean(long)
    assert walk(long).shown == (48, 32)


def test_any_byte_may_stand_where_the_second_zero_of_the_exif_header_belongs() -> None:
    plain = pictures.jpeg()
    for byte in (b"\1", b"S", b"\xff"):
        odd = plain[:2] + exif(orientation_tiff(6), b"Exif\0" + byte) + plain[2:]
        assert exif(orientation_tiff(6), b"Exif\0\xff") in clean(odd)
        assert walk(odd).shown == (32, 48)


def test_an_app1_before_the_exif_block_leaves_an_empty_one_as_firefox_looks_at_the_first_alone() -> None:
    plain = pictures.jpeg()
    xmp, turned = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + SECRET), exif(orientation_tiff(6))
    once = clean(plain[:2] + xmp + turned + plain[2:])
    assert segment(0xE1, b"") + turned in once
    assert SECRET not in once
    assert clean(once) == once
    assert segment(0xE1, b"") not in clean(plain[:2] + turned + xmp + plain[2:])


# The density.


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_answer_says_the_sides_that_browsers_take_from_exif(orientation: int) -> None:
    plain = pictures.jpeg(pictures.striped())
    dirty = plain[:2] + exif(density_tiff(orientation=orientation, beside=SECRET)) + plain[2:]
    plan = walk(dirty)
    assert (plan.width, plan.height) == (64, 32)
    assert plan.shown == ((32, 16) if orientation < 5 else (16, 32))
    kept = exif(density_tiff(orientation=orientation if orientation > 1 else None))
    assert walk(clean(dirty)).shown == plan.shown
    assert SECRET not in clean(dirty)
    assert len(clean(dirty)) == len(plain) + len(kept) + 8  # each resolution has numbers of its own
    assert clean(clean(dirty)) == clean(dirty)


def test_a_density_that_makes_the_picture_larger_than_a_side_may_be_is_refused() -> None:
    plain = pictures.jpeg(pictures.striped())
    assert refusal(plain[:2] + exif(density_tiff((1, 10), (46080, 23040))) + plain[2:]) == "too_many_pixels"


# Contradictions and limits.


def test_contradictions_are_broken() -> None:
    plain = pictures.jpeg()
    frame, scan = plain.index(b"\xff\xc0"), plain.index(b"\xff\xda")
    length = 2 + int.from_bytes(plain[frame + 2 : frame + 4], "big")
    broken = {
        "two frames": plain[:frame] + plain[frame : frame + length] * 2 + plain[frame + length :],
        "no frame": plain[:frame] + plain[frame + length :],
        "no scan": plain[:scan] + b"\xff\xd9",
        "no size": plain[: frame + 5] + b"\0\0" + plain[frame + 7 :],
        "a second image inside": plain[:scan] + plain,
        "a table that is too long": plain[:scan] + segment(0xDB, b"\0" * 66) + plain[scan:],
    }
    for what, data in broken.items():
        assert refusal(data) == "broken_image", what


def test_too_many_pixels_and_scans_are_refused_by_name() -> None:
    small = Limits(max_side=40, max_pixels=1000, max_total_pixels=1000, max_frames=1, max_scans=3)
    assert refusal(pictures.jpeg(pictures.noise(48, 8)), small) == "too_many_pixels"
    assert refusal(pictures.jpeg(pictures.noise(40, 40)), small) == "too_many_pixels"
    assert refusal(pictures.jpeg(pictures.noise(16, 16), progressive=True), small) == "too_many_scans"


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(list(KINDS)), st.integers(1, 40), st.binary(max_size=400))
def test_whatever_follows_a_picture_without_an_end_marker_none_of_it_stays(kind: str, size: int, tail: bytes) -> None:
    whole = pictures.jpeg(pictures.noise(size, size), **KINDS[kind])
    with contextlib.suppress(Fault):
        assert clean(whole[:-2] + SECRET + tail + b"\xff\xd9" + SECRET) == whole


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(list(KINDS)), st.data())
def test_a_damaged_scan_looks_as_before_or_is_refused(kind: str, data: st.DataObject) -> None:
    whole = pictures.jpeg(pictures.noise(6, 6).resize((60, 60)), **KINDS[kind])
    scan = whole.index(b"\xff\xda") + 14
    damaged = whole[:scan] + damage(data, whole[scan:-2]) + whole[-2:]
    with contextlib.suppress(Fault):
        assert as_shown(clean(damaged)) == as_shown(damaged)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_file_is_cleaned_for_good_or_refused(data: st.DataObject) -> None:
    damaged = damage(data, pictures.phone_jpeg(image=pictures.noise(16, 16)))
    once = None
    with contextlib.suppress(Fault):  # and nothing but a Fault
        once = clean(damaged)
    assert once is None or clean(once) == once


def damage(data: st.DataObject, whole: bytes) -> bytes:
    """A file with bytes overwritten, cut out or doubled."""
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, max(0, len(damaged) - 1)))
        stop = min(len(damaged), start + data.draw(st.integers(1, 40)))
        replacement = data.draw(
            st.one_of(st.binary(max_size=40), st.just(b""), st.just(bytes(damaged[start:stop]) * 2))
        )
        damaged[start:stop] = replacement
    return bytes(damaged)
