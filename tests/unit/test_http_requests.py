"""Heads of requests: what is served, and what is refused so that no proxy can read it otherwise (RFC 9112)."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.http.connections.requests import HEAD_END, LONGEST_NAME, MOST_FIELDS, Request, parse
from iuserver.errors import Fault


def get(*lines: bytes, first: bytes = b"GET / HTTP/1.1", host: bytes = b"Host: x") -> Request:
    return parse(b"\r\n".join([first, *([host] if host else []), *lines, b"", b""]))


def refusal(*lines: bytes, **parts: bytes) -> str:
    with pytest.raises(Fault) as refused:
        get(*lines, **parts)
    return refused.value.code


def test_a_head_is_a_request_line_and_headers() -> None:
    request = get(b"a-B:  1 \t", b"A-b:2", b"C:", b"D: \xe9", first=b"DELETE /x?y=%20 HTTP/1.1")
    assert request.start_line == ("DELETE", "/x?y=%20", "HTTP/1.1")
    assert request.headers["A-B"] == "1,2"
    assert (request.headers["C"], request.headers["D"]) == ("", "\xe9")
    assert (request.length, request.keep_alive, request.expects_continue) == (0, True, False)


@pytest.mark.parametrize(
    ("lines", "length"),
    [
        ([b"Content-Length: 0"], 0),
        ([b"Content-Length: 5 "], 5),
        ([b"content-length:" + b"9" * 19], int("9" * 19)),
        ([b"Transfer-Encoding: chunked"], None),
        ([b"transfer-encoding:  Chunked"], None),
        ([b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings", b"Content-Length: 3"], 3),
        ([b"Upgrade: h2c", b"Connection: Upgrade", b"Transfer-Encoding: chunked"], None),
        ([b"Upgrade: websocket", b"Connection: Upgrade"], 0),
    ],
)
def test_a_body_is_as_long_as_its_head_says(lines: list[bytes], length: int | None) -> None:
    assert get(*lines, first=b"POST / HTTP/1.1").length == length


@pytest.mark.parametrize(
    "lines",
    [
        [b"Content-Length: 5", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: chunked", b"Content-Length: 5"],
        [b"Content-Length: 5", b"Content-Length: 5"],
        [b"Content-Length: 5", b"Content-Length: 6"],
        [b"Content-Length: 5, 5"],
        [b"Content-Length: 5,\xa05"],
        [b"Content-Length: foo"],
        [b"Content-Length: +5"],
        [b"Content-Length: -5"],
        [b"Content-Length: 1_0"],
        [b"Content-Length: 0x5"],
        [b"Content-Length: 5.0"],
        [b"Content-Length: 5 5"],
        [b"Content-Length:"],
        [b"Content-Length: " + b"9" * 30],
        [b"Content-Length : 5"],
        [b"Content-Length: 5", b" 6"],
        [b"Transfer-Encoding: gzip"],
        [b"Transfer-Encoding: gzip, chunked"],
        [b"Transfer-Encoding: chunked, gzip"],
        [b"Transfer-Encoding: chunked, chunked"],
        [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: identity"],
        [b"Transfer-Encoding: xchunked"],
        [b'Transfer-Encoding: "chunked"'],
        [b"Transfer-Encoding: chunked;q=1"],
        [b"Transfer-Encoding: \x0bchunked"],
        [b"Transfer-Encoding:"],
        [b"Transfer-Encoding : chunked"],
        [b"Transfer-Encoding: ", b" chunked"],
    ],
)
def test_a_body_whose_end_two_readers_could_find_elsewhere_is_refused(lines: list[bytes]) -> None:
    assert refusal(*lines, first=b"POST / HTTP/1.1") == "bad_body"


@pytest.mark.parametrize("connection", [b"", b"Connection: keep-alive"])
def test_http_1_0_has_no_chunks(connection: bytes) -> None:
    lines = [b"Transfer-Encoding: chunked", *([connection] if connection else [])]
    assert refusal(*lines, first=b"POST / HTTP/1.0") == "bad_body"


@pytest.mark.parametrize(
    "line",
    [
        b"A : b",
        b"A\t: b",
        b" A: b",
        b"A: b\r\n c",
        b"A: b\r\n\tc",
        b"A",
        b": b",
        b"A: b\nB: c",
        b"A: b\rB: c",
        b"A: \x00",
        b"A: \x01",
        b"A: \x7f",
        b"A\x00: b",
        b"\xe9: b",
        b"A(: b",
    ],
)
def test_a_field_line_that_is_none_is_refused(line: bytes) -> None:
    assert refusal(line) == "bad_body"


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"asdf",
        b"GET /",
        b"GET / HTTP/1.2",
        b"GET / HTTP/2.0",
        b"PRI * HTTP/2.0",
        b"GET / HTTP/0.9",
        b"GET / HTTP/1.1 ",
        b" GET / HTTP/1.1",
        b"GET  / HTTP/1.1",
        b"GET\t/ HTTP/1.1",
        b"GET / http/1.1",
        b"GET / RTSP/1.0",
        b"GET / ICE/1.0",
        b"GET /a b HTTP/1.1",
        b"GET x HTTP/1.1",
        b"GET /\x00 HTTP/1.1",
        b"GET /\x7f HTTP/1.1",
        b"GET / HTTP/1.1\n",
        b"G\xe9T / HTTP/1.1",
        b"FOO,BAR / HTTP/1.1",
    ],
)
def test_a_request_line_that_is_none_is_refused(first: bytes) -> None:
    assert refusal(first=first) == "bad_body"


def test_lines_end_with_cr_lf() -> None:
    for head in (b"GET / HTTP/1.1\nHost: x\n\n", b"GET / HTTP/1.1\r\nHost: x\n\n", b"GET / HTTP/1.1\r\nHost: x\r\n\n"):
        with pytest.raises(Fault, match="not valid HTTP"):
            parse(head)


@pytest.mark.parametrize("method", [b"BREW", b"FOO", b"get", b"TRACE", b"CONNECT", b"PROPFIND", b"SOURCE", b"M-SEARCH"])
def test_a_method_that_no_route_has_is_not_implemented(method: bytes) -> None:
    assert refusal(first=method + b" / HTTP/1.1") == "not_implemented"


def test_a_request_has_one_host() -> None:
    assert refusal(host=b"") == "bad_body"
    assert refusal(b"Host: x") == "bad_body"
    assert refusal(b"hOST: y", first=b"GET / HTTP/1.0") == "bad_body"
    assert get(first=b"GET / HTTP/1.0", host=b"").length == 0


@pytest.mark.parametrize(
    ("target", "path", "host"),
    [
        (b"http://a.example/b?c=http://d/e", "/b?c=http://d/e", "a.example"),
        (b"HTTP://a.example:8080", "/", "a.example:8080"),
        (b"https://a.example?b", "/?b", "a.example"),
        (b"http://[::1]:80/b", "/b", "[::1]:80"),
        (b"/http://a.example/b", "/http://a.example/b", "x"),
        (b"//a.example/b", "//a.example/b", "x"),
        (b"http://u@a.example/b", "http://u@a.example/b", "x"),
        (b"ftp://a.example/b", "ftp://a.example/b", "x"),
        (b"*", "*", "x"),
        (b"/f/\xc3\xa9.jpg", "/f/%C3%A9.jpg", "x"),
    ],
)
def test_a_target_in_absolute_form_is_its_path_and_its_host(target: bytes, path: str, host: str) -> None:
    request = get(first=b"OPTIONS " + target + b" HTTP/1.1")
    assert (request.start_line.path, request.headers["Host"]) == (path, host)


@pytest.mark.parametrize(
    ("version", "connection", "stays"),
    [
        (b"1.1", None, True),
        (b"1.1", b"close", False),
        (b"1.1", b"TE, Close", False),
        (b"1.1", b"not-close", True),
        (b"1.0", None, False),
        (b"1.0", b"Keep-Alive", True),
        (b"1.0", b"TE,keep-alive", True),
        (b"1.0", b"close", False),
    ],
)
def test_a_connection_stays_as_its_options_say(version: bytes, connection: bytes | None, stays: bool) -> None:
    lines = [b"Connection: " + connection] if connection else []
    assert get(*lines, first=b"GET / HTTP/" + version).keep_alive is stays


@pytest.mark.parametrize(
    ("version", "value", "waits"),
    [
        (b"1.1", b"100-continue", True),
        (b"1.1", b"100-CONTINUE", True),
        (b"1.1", b"x", False),
        (b"1.0", b"100-continue", False),
    ],
)
def test_only_http_1_1_waits_for_100(version: bytes, value: bytes, waits: bool) -> None:
    assert get(b"Expect: " + value, first=b"POST / HTTP/" + version).expects_continue is waits


def test_headers_are_bounded_in_number_and_name() -> None:
    assert get(*[b"A: b"] * (MOST_FIELDS - 1)).headers["A"]
    assert refusal(*[b"A: b"] * MOST_FIELDS) == "headers_too_large"
    assert get(b"a" * LONGEST_NAME + b": b").length == 0
    assert refusal(b"a" * (LONGEST_NAME + 1) + b": b") == "headers_too_large"


HEAD = b"POST http://a/b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n"


@given(st.integers(0, 1 << 30))
def test_whatever_stands_in_a_head_it_is_parsed_or_refused(seed: int) -> None:
    dice = random.Random(seed)
    data = bytearray(HEAD)
    for _ in range(dice.randint(1, 5)):
        place = dice.randrange(len(data) - 2)
        data[place : place + dice.choice([0, 1, 4])] = dice.choice(
            [b"\r\n", b"\n", b" ", b":", b"\x00", dice.randbytes(2)]
        )
    data += b"\r\n\r\n"
    end = HEAD_END.search(data)
    assert end
    try:
        request = parse(bytes(data[: end.end()]))
    except Fault:
        return
    assert len(request.headers.get_list("Host")) == 1
    assert request.length in (None, 0) or request.headers["Content-Length"].isdigit()
