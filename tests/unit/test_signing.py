"""Signed, sealed and random tokens."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iuserver import signing
from tests.contracts.test_catalog import IMAGE

SECRET, OTHER = b"s" * 32, b"t" * 32
NONCE = bytes(range(12))
SEALED = "1AAECAwQFBgcICQoL2Em3oF9sjR3rGFXkcN04FjNOZBhS3-M"
DELETE = "9c22039dc25957a859572f7919c682cd"


def test_a_sealed_token_is_what_it_has_always_been() -> None:
    """Known answers: a release that read them otherwise would end all upload links, and another node's."""
    assert signing.seal(SECRET, NONCE, b"content") == SEALED
    assert signing.unseal(SECRET, SEALED) == (NONCE, b"content")


def test_a_deletion_link_is_what_it_has_always_been() -> None:
    """These links are in people's notes: no release may end them."""
    image = replace(IMAGE, slug="aB3xQf9K", blob="0123456789abcdef" * 2)
    assert signing.delete_token(SECRET, image) == DELETE
    assert signing.is_delete_token(SECRET, image, DELETE)
    assert not signing.is_delete_token(OTHER, image, DELETE)


@given(content=st.binary(max_size=400), nonce=st.binary(min_size=12, max_size=12))
def test_what_is_sealed_comes_back_with_the_same_secret_only(content: bytes, nonce: bytes) -> None:
    token = signing.seal(SECRET, nonce, content)
    assert signing.unseal(SECRET, token) == (nonce, content)
    assert signing.nonce_of(token) == signing.nonce_of(token[:17]) == nonce
    assert signing.unseal(OTHER, token) is None


@given(at=st.integers(min_value=0), by=st.characters(max_codepoint=0x10FFFF))
def test_no_character_of_a_sealed_token_can_be_changed(at: int, by: str) -> None:
    at %= len(SEALED)
    changed = SEALED[:at] + by + SEALED[at + 1 :]
    assert changed == SEALED or signing.unseal(SECRET, changed) is None


@pytest.mark.parametrize(
    "token", ["", "1", "1AAAA", "1" + "A" * 16, "1" + "A" * 38, SEALED[1:], "2" + SEALED[1:], SEALED + "A"]
)
def test_what_was_never_sealed_is_nothing(token: str) -> None:
    assert signing.unseal(SECRET, token) is None
