"""Forms: what is accepted, and names made safe."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iuserver import forms
from iuserver.errors import Fault


def test_nothing_given_means_one_day_in_the_root() -> None:
    form = forms.upload({"expiration": "", "password": "", "folder": "", "unknown": "x"}, "a.jpg")
    assert form == forms.UploadForm("a.jpg", "1d", None, None, None)


def test_a_view_limit_counts_only_with_views() -> None:
    assert forms.upload({"view_limit": "junk"}, "a").view_limit is None
    assert forms.upload({"expiration": "views", "view_limit": "999"}, "a").view_limit == 999


@pytest.mark.parametrize(
    "fields",
    [
        {"expiration": "2d"},
        {"expiration": "views"},
        *({"expiration": "views", "view_limit": text} for text in ("0", "1000", "-1", "1.5", "²", "1e2", "999999999")),
        {"password": "x" * 257},
        {"folder": "No Such Folder!"},
    ],
)
def test_what_a_field_cannot_be_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(Fault) as caught:
        forms.upload(fields, "a.jpg")
    assert caught.value.code == "bad_field"


def test_the_words_for_the_root_folder_are_the_root() -> None:
    assert forms.upload({"folder": "unsorted"}, "a").folder is None
    assert forms.upload({"folder": "default"}, "a").folder is None


@pytest.mark.parametrize(
    ("given_name", "ext", "safe"),
    [
        ("photo.jpg", "jpg", "photo.jpg"),
        ("photo.JPEG", "jpg", "photo.JPEG"),
        ("photo.png", "jpg", "photo.jpg"),
        ("photo", "png", "photo.png"),
        ("v1.2 draft of it", "png", "v1.2 draft of it.png"),
        ("../../etc/passwd", "png", "passwd.png"),
        ("C:\\pictures\\cat.png", "png", "cat.png"),
        (".png", "png", "image.png"),
        ("a\r\nSet-Cookie: x.png", "png", "aSet-Cookie: x.png"),
        ("evil\u202egnp.exe", "png", "evilgnp.png"),
        ("", "png", "image.png"),
    ],
)
def test_a_name_is_made_safe_and_tells_the_true_type(given_name: str, ext: str, safe: str) -> None:
    assert forms.safe_filename(given_name, ext) == safe


@given(st.text(max_size=400), st.sampled_from(["jpg", "png"]))
def test_no_name_has_a_path_a_control_character_or_a_false_ending(name: str, ext: str) -> None:
    safe = forms.safe_filename(name, ext)
    stem, _, ending = safe.rpartition(".")
    assert stem
    assert ending.lower() in forms.EXTENSIONS[ext]
    assert not any(c in "/\\" or unicodedata.category(c)[0] == "C" for c in safe)
    assert len(safe) <= forms.MAX_FILENAME + 6


@pytest.mark.parametrize("name", ["x" * 5000 + ".jpeg", "\u0301\u0316" * 60_000 + ".jpeg", "/" * 5000 + ".jpeg"])
def test_of_a_long_file_name_the_ending_counts(name: str) -> None:
    safe = forms.safe_filename(name, "jpg")
    assert safe.endswith(".jpeg")
    assert len(safe) <= forms.MAX_FILENAME + len(".jpeg")


@pytest.mark.parametrize("letter", ["\u1f82", "\ud55c", "\u1e69"])
def test_a_folder_name_counts_as_it_is_seen_however_it_was_typed(letter: str) -> None:
    """A Greek, a Korean and a Latin letter that are 3 or 4 characters where they are taken apart."""
    apart = unicodedata.normalize("NFD", letter)
    assert len(apart) >= 3
    assert forms.folder_name(apart * forms.MAX_FOLDER_NAME) == letter * forms.MAX_FOLDER_NAME
    for name in (apart * (forms.MAX_FOLDER_NAME + 1), " " * 1000 + letter):
        with pytest.raises(Fault, match="1 to 40 visible characters"):
            forms.folder_name(name)
