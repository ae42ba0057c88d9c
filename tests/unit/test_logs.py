"""What the log may show: no secret in any shape, and no character that acts on a terminal."""

from __future__ import annotations

import json
import logging
import time
import unicodedata

import pytest
from tornado.httputil import HTTPConnection, HTTPHeaders, HTTPServerRequest, RequestStartLine

from iuserver.cli.logs import JsonFormatter, TextFormatter
from iuserver.masking import without_secrets

TOKEN = "0123456789abcdef" * 2
TICKET = "tk_aYmO7y-_Zz09"
KEY = "iu_live_0123456789abcdefghijABCDEFGHIJ01234567"
SECRETS = (TOKEN, TICKET, TICKET[3:], KEY, KEY[8:], "hunter2", "gRaNt-_0123456789abcde")

SHAPES = [
    f"GET /d/aB3xQf9K/{TOKEN}",
    f"/d/aB3xQf9K/{TOKEN}/",
    f"//d/aB3xQf9K/{TOKEN}",
    f"/d//aB3xQf9K//{TOKEN}",
    f"/D/aB3xQf9K/{TOKEN.upper()}",
    f"/%64/aB3xQf9K/{TOKEN}",
    f"%2Fd%2FaB3xQf9K%2F{TOKEN}",
    f"http://img.example.org:8080/d/aB3xQf9K/{TOKEN}",
    f"/img/d/aB3xQf9K/{TOKEN}",
    f"https://img.example.org/img/d/aB3xQf9K/{TOKEN}?x=1",
    f"HTTPServerRequest(protocol='http', host='x', method='GET', uri='/d/aB3xQf9K/{TOKEN}', version='HTTP/1.1')",
    f"/u/{TICKET}",
    f"//u/{TICKET}",
    f"///u/{TICKET}/photo.jpg",
    f"/U/{TICKET}",
    f"http://img.example.org/u/{TICKET}",
    f"HTTP://img.example.org//u/{TICKET}",
    f"//img.example.org/u/{TICKET}",
    f"/img/u/{TICKET}",
    f"/u/{TICKET.replace('_', '%5F', 1)}",
    f"/u/{TICKET.removeprefix('tk_')}",
    f"/nowhere/{TICKET}",
    f"a ticket {TICKET}.",
    "/f/aB3xQf9K.jpg?grant=gRaNt-_0123456789abcde",
    "/f/aB3xQf9K.jpg?v=1&grant=gRaNt-_0123456789abcde&x=y",
    "/f/aB3xQf9K.jpg%3Fgrant%3DgRaNt-_0123456789abcde",
    "/login/hunter2",
    "https://img.example.org/login/hunter2?next=/",
    f"/img/login/{TOKEN}",
    "/signup/hunter2",
    f"/img/signup/{TOKEN}",
    f"Authorization: Bearer {KEY}",
    f"{{'Authorization': 'bearer {KEY}'}}",
    "Authorization: Basic hunter2",
    f"/api/quota?key={KEY}",
    f"/{KEY.replace('_', '%5f')}",
    f"no such key {KEY}",
    "X-Image-Password: hunter2",
    "headers={'X-Image-Password': 'hunter2'}",
    "password=hunter2&x=y",
    f"Cookie: unlock_page_aB3xQf9K=1795000000.{TOKEN}",
    f"unlock_file_aB3xQf9K=1795000000.{TOKEN}",
    f"Set-Cookie: __Host-session={TOKEN}; Path=/",
    f"session={TOKEN}",
    f"http://127.0.0.1:8080/login/-{TOKEN}_{TOKEN[:10]}",
    f"Account(password_hash='$argon2id$v=19$m=19456,t=2,p=1${TOKEN}${TOKEN}')",
    "mongodb://me:hunter2@db.example.org/iuserver",
    "https://me:hunter2@img.example.org/mcp",
]
PLAIN = [
    "/api/upload",
    "/api/images/aB3xQf9K",
    "/f/aB3xQf9K.jpg",
    "/i/aB3xQf9K",
    "/login",
    "/login?next=/dashboard/images",
    "/signup",
    "session ended: 3 left",
    "/d",
    "/u",
    "/static/style.css",
    'File "/home/d/src/iuserver/server.py", line 3, in start',
    'File "/home/u/iuserver/handlers/http/base.py", line 3, in start',
    "blob 0123456789abcdef0123456789abcdef: has no record",
    "swept: Report(expired=1, buried=0, grants=3)",
    "request 0a1b2c3d00000001: The image store is not available (OSError(28, 'No space left on device'))",
    "password must have at most 256 characters",
    "catalog.url: mongodb://db.example.org/iuserver",
]


@pytest.mark.parametrize("text", SHAPES)
def test_a_secret_is_masked_wherever_it_stands(text: str) -> None:
    shown = without_secrets(text)
    assert "..." in shown
    assert not any(secret.lower() in shown.lower() for secret in SECRETS)
    wrapped = without_secrets(f"Uncaught exception\nbefore {text} behind")
    assert not any(secret.lower() in wrapped.lower() for secret in SECRETS)
    assert wrapped.startswith("Uncaught exception\nbefore ")
    assert wrapped.endswith(" behind")


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_no_secret_stays(text: str) -> None:
    assert without_secrets(text) == text


PARTS = ["/u/", "/d/a", "/", "//", "a:", "=a:/", "://", "unlock_", "grant ", "tk_", "%2f", "x", "iu_live_", "basic "]


@pytest.mark.parametrize("part", PARTS)
def test_masking_takes_time_in_proportion_to_the_text(part: str) -> None:
    def spent(length: int) -> float:
        text = (part * length)[:length]
        before = time.thread_time()
        without_secrets(text)
        return time.thread_time() - before

    small, large = (min(spent(length) for _ in range(3)) for length in (8000, 64000))
    assert large < 8 * 3 * small + 0.005


class Connection(HTTPConnection):
    """All that a request asks of its connection before it is answered."""

    context = None
    remote_ip, protocol = "10.0.0.1", "http"


def record(message: str, error: BaseException | None = None, name: str = "tornado.application") -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord(name, logging.ERROR, "", 0, message, (), info)


def raised(text: str) -> ValueError:
    try:
        raise ValueError(text)
    except ValueError as error:
        return error


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()], ids=["text", "json"])
def test_tornados_own_lines_and_tracebacks_are_masked(formatter: logging.Formatter) -> None:
    start_line = RequestStartLine("GET", f"/d/aB3xQf9K/{TOKEN}", "HTTP/1.1")
    request = HTTPServerRequest(headers=HTTPHeaders({"Host": "x"}), start_line=start_line, connection=Connection())
    line = formatter.format(record(f"Uncaught exception GET\n{request!r}", raised(f"http://x/u/{TICKET}")))
    assert "ValueError" in line
    assert TOKEN not in line
    assert TICKET not in line


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()], ids=["text", "json"])
def test_no_character_that_acts_on_a_terminal_or_makes_a_line_is_written(formatter: logging.Formatter) -> None:
    hostile = [*map(chr, range(32)), *map(chr, range(0x7F, 0xA0)), "\u2028", "\u202e", "\u200b", "\ufeff", "\U000e0041"]
    text = "".join(hostile) + "ü\udc80"
    access = record("request", name="iuserver.access")
    access.__dict__.update(request_id="1", method=f"G{text}", path=f"/{text}", status=404, ms=1.0, client="10.0.0.0")
    access.__dict__["path"] = access.__dict__["path"].replace("\udc80", "")
    access.__dict__["method"] = access.__dict__["method"].replace("\udc80", "")
    for line in (formatter.format(access), formatter.format(record(text)), formatter.format(record("x", raised(text)))):
        assert not [c for c in line if unicodedata.category(c)[0] == "C" and c != "\n"]
        assert "\u2028" not in line
        assert "ü" in line
        assert "\\u009b" in line
        if isinstance(formatter, JsonFormatter):
            assert "\n" not in line
            told = json.loads(line)
            assert "\x9b" in told.get("message", told.get("path"))


def test_no_text_in_a_traceback_passes_for_a_line_of_the_log() -> None:
    forged = "2026-11-22T10:00:00Z INFO GET /healthz 200 0.1 ms 10.0.0.0 1"
    for line in (
        TextFormatter().format(record(f"x\n{forged}")),
        TextFormatter().format(record("x", raised(f"x\n{forged}"))),
    ):
        assert forged in line
        assert not any(shown.startswith(forged) for shown in line.split("\n"))
