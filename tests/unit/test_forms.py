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
        *({"expires_at": text} for text in ("253402300800", "9999-12-31T23:59:59-00:01", "0000-01-01T00:00:00Z")),
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
        ("می\u200cشود.jpg", "jpg", "می\u200cشود.jpg"),
        ("👨\u200d👩\u200d👧 ❤\ufe0f\u200d🔥.png", "png", "👨\u200d👩\u200d👧 ❤\ufe0f\u200d🔥.png"),
        ("❤\ufe0f.png", "png", "❤\ufe0f.png"),
        ("a\u200d\u200c\u200d\u200cb.png", "png", "a\u200d\u200cb.png"),
        ("\u200d\u200c.png", "png", "image.png"),
        ("\ufe0f\ufe0f.png", "png", "image.png"),
        ("\u00a0\u200d\u3000.png", "png", "image.png"),
        ("a\u2028b\u2029c.png", "png", "abc.png"),
        ("\u3164\uffa0\u115f\u1160\u2800.png", "png", "image.png"),
        ("a\ufeff\u00ad\u2066b\u2069\u061c.png", "png", "ab.png"),
        ("x\U000e0041\U000e0042\U000e007f.png", "png", "x.png"),
        ("e\u202e\u0301.png", "png", "é.png"),
        ("photo.j\u200epg", "jpg", "photo.jpg"),
        ("100%.jpg", "jpg", "100%.jpg"),
    ],
)
def test_a_name_is_made_safe_and_tells_the_true_type(given_name: str, ext: str, safe: str) -> None:
    assert forms.safe_filename(given_name, ext) == safe


UNSEEN = "\u200b\u200c\u200d\u200e\u202e\u2028\u2029\u2066\u3164\u00ad\u034f\u2800\ufe0f\ufeff\U000e0041 .a\u0301\u00a0"


@given(
    st.one_of(st.text(max_size=400), st.text(UNSEEN, max_size=40), st.lists(st.sampled_from(UNSEEN)).map("".join)),
    st.sampled_from(["", ".jpg", ".png"]),
    st.sampled_from(["jpg", "png"]),
)
def test_no_name_has_a_path_something_unseen_or_a_false_ending(name: str, ending: str, ext: str) -> None:
    safe = forms.safe_filename(name + ending, ext)
    stem, _, told = safe.rpartition(".")
    assert told.lower() in forms.EXTENSIONS[ext]
    assert stem.strip(" .\u00a0\u200c\u200d\ufe0f")
    assert safe.isprintable() or all(c.isprintable() or c in "\u200c\u200d" or c.isspace() for c in safe)
    assert not any(c in "/\\\u2028\u2029\u3164\u2800\u034f" for c in safe)
    assert all(unicodedata.category(c)[0] != "C" or c in "\u200c\u200d" for c in safe)
    assert unicodedata.is_normalized("NFC", stem)
    assert len(safe) <= forms.MAX_FILENAME + 6
    assert forms.safe_filename(safe, ext) == safe


@pytest.mark.parametrize("name", ["می\u200cشود", "👨\u200d👩\u200d👧", "❤\ufe0f", "a b"])
def test_a_folder_may_be_named_in_any_script(name: str) -> None:
    assert forms.folder_name(name) == name


@pytest.mark.parametrize(
    "name", ["\u3164", "\u200d", "a\u2028b", "a\u202eb", "a\u00a0b", "\u2800", "\ufe0f", "a\nb", " ", ""]
)
def test_a_folders_name_must_be_seen(name: str) -> None:
    with pytest.raises(Fault):
        forms.folder_name(name)


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
