"""What is sent as a list or a cursor: whatever it is, it is one, or it is refused."""

from __future__ import annotations

import base64
import contextlib
import string
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iuserver import forms
from iuserver.errors import Fault
from iuserver.records import Image, ListQuery, Position


def listing(**fields: str) -> ListQuery | None:
    """What a query asks for; None where it is refused as it should be."""
    try:
        return forms.listing(fields)
    except Fault as fault:
        if fault.code != "bad_field":
            raise
        return None


def cursor_of(content: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(content)).rstrip(b"=").decode()


@given(st.text() | st.text(string.ascii_letters + string.digits + "-_"), st.sampled_from(forms.SORTS))
def test_whatever_is_sent_as_a_cursor_is_a_position_or_refused(cursor: str, sort: str) -> None:
    query = listing(after=cursor, sort=sort)
    assert query is None or (query.after is None) == (cursor == "")


SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text()
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)


@given(st.sampled_from(forms.SORTS), JSON, JSON | st.just("slug"), st.sampled_from(forms.SORTS))
def test_whatever_a_cursor_holds_is_checked(told: str, key: Any, slug: Any, sort: str) -> None:
    with contextlib.suppress(TypeError):  # a text that is no Unicode
        query = listing(after=cursor_of([told, key, slug]), sort=sort)
        if query and query.after:
            assert told == sort
            assert forms.is_slug(query.after.slug)
            assert type(query.after.key) is (str if sort == "name" else int)


@pytest.mark.parametrize(
    "content",
    [
        *([], {}, None, 7, "newest", ["newest"], ["newest", 1], ["newest", 1, "slug", 1], [["newest"], 1, "slug"]),
        *(["newest", True, "slug"], ["newest", 1.5, "slug"], ["newest", -1, "slug"], ["newest", 2**53, "slug"]),
        *(["newest", "1", "slug"], ["newest", 1, ""], ["newest", 1, "a/b"], ["newest", 1, "x" * 65]),
        *(["oldest", 1, "slug"], ["newest", 1, None], ["newest", {"$gt": 0}, "slug"]),
    ],
)
def test_a_cursor_that_nobody_has_made_is_refused(content: Any) -> None:
    assert listing(after=cursor_of(content)) is None


def test_a_cursor_that_is_too_long_or_deep_is_refused() -> None:
    for content in (b"[" * 3000, b'["name","' + b"x" * 3000 + b'","slug"]'):
        assert listing(after=base64.urlsafe_b64encode(content).rstrip(b"=").decode(), sort="name") is None


@given(st.dictionaries(st.sampled_from([*forms.LIST_FIELDS, "other"]), st.text()))
def test_whatever_is_sent_as_a_list_is_one_or_refused(fields: dict[str, str]) -> None:
    query = listing(**fields)
    if query:
        assert 1 <= query.limit <= forms.MAX_PAGE
        assert len(query.name) <= forms.MAX_SEARCH_NAME


@given(st.text(max_size=300), st.integers(0, 2**41), st.integers(0, 2**33), st.sampled_from(forms.SORTS))
def test_the_cursor_behind_any_image_is_one(name: str, size: int, created_at: int, sort: Any) -> None:
    filename = forms.safe_filename(name, "jpg")
    image = Image(
        *("slug", "b" * 32, "a", filename, "jpg", "image/jpeg", size, 1, 1, "1d"),
        *(None, None, None, None, "api", created_at),
    )
    cursor = forms.cursor_behind(image, sort)
    assert len(cursor) <= forms.MAX_CURSOR
    after = forms.listing({"after": cursor, "sort": sort}).after
    assert after == Position({"name": forms.search_name(filename), "largest": size}.get(sort, created_at), "slug")


def test_names_are_the_same_whatever_their_case_and_composition() -> None:
    for one, other in (("STRASSE", "straße"), ("A\u0308rger", "ÄRGER"), ("ΣΊΣΥΦΟΣ", "σίσυφος"), ("ﬁ①", "FI1")):
        assert forms.search_name(one) == forms.search_name(other)
    assert forms.search_name("IMG_0001.JPG") == "img_0001.jpg"
    assert len(forms.search_name("\ufdfa" * 1024)) == forms.MAX_SEARCH_NAME
