"""Bodies as they come: where each ends, in whatever pieces, and that llhttp would read no chunk otherwise."""

from __future__ import annotations

import random

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.http.connections.bodies import CHUNKS_AT_A_TIME, LONGEST_LINE, MOST_TRAILERS, ChunkedBody, SizedBody
from iuserver.errors import Fault

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
NEXT = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
EXTENSIONS = [b"", b";a=b", b" ; a", b';a="q;\\"x"']
TRAILERS = [b"", b"A: b\r\n", b"Content-Length: 5\r\nX-Y:\r\n"]


def encoded(chunks: list[bytes], extension: bytes = b"", trailers: bytes = b"") -> bytes:
    coded = b"".join(b"%X%b\r\n%b\r\n" % (len(chunk), extension, chunk) for chunk in chunks if chunk)
    return coded + b"00" + extension + b"\r\n" + trailers + b"\r\n"


def decoded(body: SizedBody | ChunkedBody, pieces: list[bytes]) -> tuple[bytes, bytes, bool]:
    """The body's bytes, what was left over, and whether the body is complete; in pieces as a connection has them."""
    content, rest = bytearray(), b""
    for piece in pieces:
        rest += piece
        while rest and not body.complete:
            before = len(rest)
            portion, rest = body.take(rest)
            content += portion
            if len(rest) == before:
                break
    return bytes(content), rest, body.complete


class Oracle:
    """What llhttp makes of the same bytes."""

    def __init__(self) -> None:
        self.body = bytearray()
        self.complete = 0

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.complete += 1


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % (len(data) + 1) for place in places} | {len(data)})
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@given(st.binary(max_size=300), st.integers(0, 300), st.lists(st.integers(0, 1000), max_size=5))
def test_a_sized_body_ends_where_it_says(data: bytes, length: int, places: list[int]) -> None:
    content, rest, complete = decoded(SizedBody(length), cut(data, places))
    assert (content, rest, complete) == (data[:length], data[length:], len(data) >= length)


@given(
    st.lists(st.binary(max_size=40), max_size=6),
    st.sampled_from(EXTENSIONS),
    st.sampled_from(TRAILERS),
    st.lists(st.integers(0, 1000), max_size=6),
)
def test_a_chunked_body_comes_in_any_pieces_and_what_follows_is_left(
    chunks: list[bytes], extension: bytes, trailers: bytes, places: list[int]
) -> None:
    pieces = cut(encoded(chunks, extension, trailers) + NEXT, places)
    assert decoded(ChunkedBody(), pieces) == (b"".join(chunks), NEXT, True)


@given(
    st.lists(st.binary(max_size=40), max_size=6),
    st.sampled_from(EXTENSIONS),
    st.sampled_from([trailer for trailer in TRAILERS if b"Length" not in trailer]),  # llhttp refuses that one
    st.lists(st.integers(0, 1000), max_size=6),
    st.integers(0, 1 << 30),
)
def test_what_is_taken_for_a_chunked_body_is_the_same_to_llhttp(
    chunks: list[bytes], extension: bytes, trailers: bytes, places: list[int], seed: int
) -> None:
    dice = random.Random(seed)
    data = bytearray(encoded(chunks, extension, trailers))
    for _ in range(dice.randint(0, 3)):
        place = dice.randrange(len(data) + 1)
        data[place : place + dice.choice([0, 1])] = dice.choice([b"", b"\r", b"\n", b"0", b" ", b";", b"\r\n", b"f"])
    try:
        content, rest, complete = decoded(ChunkedBody(), cut(bytes(data), places))
    except Fault:
        return
    oracle = Oracle()
    try:
        httptools.HttpRequestParser(oracle).feed_data(HEAD + data[: len(data) - len(rest)])
    except httptools.HttpParserError:
        assert b";" in data  # it knows fewer extensions
        return
    assert (bytes(oracle.body), oracle.complete) == (content, int(complete))


@pytest.mark.parametrize(
    "data",
    [
        b"g\r\n",
        b"-1\r\n",
        b"+1\r\n",
        b"0x1\r\n",
        b"1_0\r\n",
        b" 1\r\n",
        b"1 \r\n",
        b"1\t\r\n",
        b"\r\n",
        b"\n",
        b"1\nx\r\n",
        b"1\r\nx\n",
        b"1\r\nxy\r\n",
        b"1\r\nx\r\r\n",
        b"1;\x00\r\n",
        b"1;a\rb\r\n",
        b"f" * 16 + b"\r\n",
        b"0\r\nA\r\n",
        b"0\r\nA : b\r\n",
        b"0\r\n folded\r\n",
        b"0\r\nA: b\n",
        b"0\r\nA: \x00\r\n",
        b"0\r\n" + b"A: b\r\n" * (MOST_TRAILERS + 1),
        b"1;" + b"x" * LONGEST_LINE,
        b"0\r\nA: " + b"x" * LONGEST_LINE,
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_what_is_no_chunk_is_refused(data: bytes, at_once: bool) -> None:
    with pytest.raises(Fault) as refused:
        decoded(ChunkedBody(), [data] if at_once else [data[place : place + 1] for place in range(len(data))])
    assert refused.value.code == "bad_body"


def test_many_tiny_chunks_are_taken_apart_in_portions() -> None:
    """So that others have their turn between."""
    body, rest, portions = ChunkedBody(), encoded([b"x"] * 5000), []
    while not body.complete:
        portion, rest = body.take(rest)
        portions.append(len(portion))
    assert sum(portions) == 5000
    assert max(portions) <= CHUNKS_AT_A_TIME
