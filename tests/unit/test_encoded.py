"""Base64 and the messages it comes in, however they are cut into portions."""

from __future__ import annotations

import base64
import itertools
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.mcp.encoded import LONG, MAX_KEPT, Base64, LongMessage
from iuserver.errors import Fault

SPELLINGS = {
    "standard": base64.b64encode,
    "lines": base64.encodebytes,
    "url-safe, unpadded": lambda data: base64.urlsafe_b64encode(data).rstrip(b"="),
    "data url": lambda data: b"data:image/png;base64," + base64.b64encode(data),
    "data url in capitals": lambda data: b"DATA:IMAGE/PNG; BASE64 ," + base64.b64encode(data),
    "space around": lambda data: b" \r\n" + base64.b64encode(data) + b"\n ",
}


def portions(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:stop] for start, stop in itertools.pairwise(edges)]


@given(st.binary(max_size=80), st.sampled_from(sorted(SPELLINGS)), st.lists(st.integers(0, 10_000), max_size=6))
def test_what_was_encoded_comes_out_whatever_the_spelling_and_the_cuts(
    data: bytes, spelling: str, cuts: list[int]
) -> None:
    got: list[bytes] = []
    decoder = Base64(got.append)
    for portion in portions(SPELLINGS[spelling](data), cuts):
        decoder.feed(portion)
    decoder.close()
    assert b"".join(got) == data


@given(st.binary(max_size=40))
def test_nothing_is_skipped_in_silence(text: bytes) -> None:
    """What is decoded has as many characters again."""
    got = decoded(text)
    if got is not None:
        tidy = text.translate(bytes.maketrans(b"-_", b"+/"), b" \t\r\n\f\v=")
        assert len(base64.b64encode(got).rstrip(b"=")) == len(tidy)


def decoded(text: bytes) -> bytes | None:
    """What a text says, or None where it is refused."""
    got: list[bytes] = []
    decoder = Base64(got.append)
    try:
        decoder.feed(text)
        decoder.close()
    except Fault:
        return None
    return b"".join(got)


STRINGS = st.text(max_size=30)
ESCAPES = {"as it is": {}, "php": {"/": "\\/"}, "careful": {"/": "\\u002f", "+": "\\u002B", "=": "\\u003D"}}


@given(
    st.dictionaries(STRINGS, STRINGS, max_size=4),
    st.sampled_from(sorted(ESCAPES)),
    st.lists(st.integers(0, 10**6), max_size=12),
)
def test_a_message_keeps_all_but_its_long_string(others: dict[str, str], escape: str, cuts: list[int]) -> None:
    data = os.urandom(LONG)
    text = base64.b64encode(data).decode()
    for written, escaped in ESCAPES[escape].items():
        text = text.replace(written, escaped)
    body = (json.dumps({"a": others})[:-1] + ', "picture": "' + text + '", "z": ' + json.dumps(others) + "}").encode()
    got: list[bytes] = []
    message = LongMessage(got.append)
    for portion in portions(body, cuts):
        message.feed(portion)
    assert json.loads(message.close()) == {"a": others, "picture": message.marker, "z": others}
    assert b"".join(got) == data


def kept(text: bytes) -> bytes:
    """What a message keeps of a text."""
    message = LongMessage(lambda chunk: None)
    message.feed(text)
    message.feed(b" " * 10)
    return message.close()


def test_what_is_beside_the_picture_is_bounded() -> None:
    with pytest.raises(Fault) as caught:
        kept((b'"' + b"x" * 1000 + b'",') * (MAX_KEPT // 1000 + 1))
    assert caught.value.code == "too_large"


@pytest.mark.parametrize("text", [b'{"a": "\\u00zz___"}', b'{"a": "\\uZZZZ"}', b'{"a": "\\'])
def test_an_escape_that_is_none_is_no_json(text: bytes) -> None:
    with pytest.raises((Fault, json.JSONDecodeError)):
        json.loads(kept(text))
