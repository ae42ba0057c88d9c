"""Which requests may come from pages of other sites, by their headers."""

from __future__ import annotations

import pytest

from handlers.http.cross_site import is_cross_site

OWN = "https://img.example.org/pictures"

FROM_OURSELVES = [
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "https://elsewhere.example"},
    {"Origin": "https://img.example.org"},
    {"Origin": "https://img.example.org:443"},
    {"Origin": "https://IMG.example.org"},
]
FROM_ELSEWHERE = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": ""},
    {"Sec-Fetch-Site": "same-origin,cross-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "https://img.example.org"},
    {"Origin": "http://img.example.org"},
    {"Origin": "https://img.example.org:8443"},
    {"Origin": "https://img.example.org.elsewhere.example"},
    {"Origin": "https://elsewhere.example"},
    {"Origin": "https://img.example.org https://elsewhere.example"},
    {"Origin": "https://img.example.org@elsewhere.example"},
    {"Origin": "https://img.example.org:x"},
    {"Origin": "https://["},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "file://"},
    {"Origin": "https://img.example.org/" + "x" * 100_000},
]


@pytest.mark.parametrize("by_cookie", [False, True])
@pytest.mark.parametrize("headers", FROM_OURSELVES, ids=str)
def test_our_own_pages_may_do_what_they_like(headers: dict[str, str], by_cookie: bool) -> None:
    assert not is_cross_site(headers, OWN, by_cookie=by_cookie)


@pytest.mark.parametrize("by_cookie", [False, True])
@pytest.mark.parametrize("headers", FROM_ELSEWHERE, ids=str)
def test_pages_of_elsewhere_are_told_apart(headers: dict[str, str], by_cookie: bool) -> None:
    assert is_cross_site(headers, OWN, by_cookie=by_cookie)


def test_a_script_passes_unless_a_cookie_identifies_it() -> None:
    assert not is_cross_site({}, OWN, by_cookie=False)
    assert is_cross_site({}, OWN, by_cookie=True)


def test_an_origin_that_has_none_is_not_that_of_an_address_that_has_none() -> None:
    assert is_cross_site({"Origin": "null"}, "null", by_cookie=False)
