"""Parses header values as real clients write them: text, parameters, and file names in all their encodings."""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from itertools import groupby
from urllib.parse import quote, unquote, unquote_to_bytes

CHARSETS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "ascii",
    "iso-8859-1": "latin-1",
    "iso-8859-15": "iso-8859-15",
    "windows-1252": "windows-1252",
}
"""The character sets that are decoded. Python's own list has ones that are no text, and looks unknown names up on the
disk."""

_PARAMETER = re.compile(
    r';[ \t]*+([^\s;="]++)[ \t]*+=[ \t]*+(?:"((?:[^"\\]|\\.)*+)"(?=[ \t]*+(?:;|$))|"([^"]*+)"|([^;]*+))', re.DOTALL
)
_ESCAPED = re.compile(r'\\(["\\])')
_EXTENDED = re.compile(r"([A-Za-z0-9_-]{1,40})'[^']*+'(.*)", re.DOTALL)
_WORD = re.compile(r"=\?([A-Za-z0-9_-]{1,40})(?:\*[A-Za-z0-9-]{1,40})?\?([BbQq])\?([!->@-~]*+)\?=\s*+")
_WORDS = re.compile(rf"(?:{_WORD.pattern})++")


def header_text(value: str) -> str:
    """What a header's bytes, given as Latin-1, mean: UTF-8, as RFC 7578 wants it, or Latin-1, as old clients send."""
    return _text(value.encode("latin-1"), "utf-8")


def parameters(value: str) -> dict[str, str]:
    """The parameters of a header such as Content-Type by their names in lower case (RFC 9110, section 5.6.6).

    Clients also leave characters such as "=" unquoted. Whoever escapes quotes with a backslash does so with the
    backslash, too; browsers do neither, and may end a name with a backslash.
    """
    found = {}
    for name, quoted, plainly_quoted, bare in _PARAMETER.findall(value):
        unescaped = _ESCAPED.sub(r"\1", quoted) if '\\"' in quoted else quoted
        found[name.lower()] = unescaped or plainly_quoted or bare.strip(" \t")
    return found


def filename_of(disposition: Mapping[str, str]) -> str | None:
    """The file name that the parameters of a part's Content-Disposition give; None where there is none.

    filename* (RFC 8187) wins, as in RFC 6266, though RFC 7578 forbids it in forms.
    """
    extended = _EXTENDED.fullmatch(disposition.get("filename*", ""))
    if extended and extended[2]:
        data = unquote_to_bytes(extended[2].encode("latin-1"))
        return _text(data, CHARSETS.get(extended[1].lower(), "utf-8"))
    plain = disposition.get("filename")
    return None if plain is None else _decoded(header_text(plain))


def _decoded(name: str) -> str:
    """A name that a client has encoded, as it was before."""
    if _WORDS.fullmatch(name):
        return _words_decoded(name)
    return _percent_decoded(name) if "%" in name else name


def _words_decoded(name: str) -> str:
    """Encoded words (RFC 2047), as .NET and PowerShell send a name; as it stands where they are not understood.

    A character may have been cut in two between words of the same character set.
    """
    try:
        words = [(CHARSETS[charset.lower()], _word_bytes(kind, text)) for charset, kind, text in _WORD.findall(name)]
    except (KeyError, binascii.Error):
        return name
    runs = groupby(words, key=lambda word: word[0])
    return "".join(_text(b"".join(data for _, data in run), charset) for charset, run in runs) or name


def _word_bytes(kind: str, text: str) -> bytes:
    if kind in "Bb":
        return binascii.a2b_base64(text + "=" * (-len(text) % 4))
    return binascii.a2b_qp(text, header=True)


def _percent_decoded(name: str) -> str:
    """A name that is percent-encoded throughout, as by aiohttp or encodeURIComponent; of another one, the three
    characters that browsers escape (HTML standard, "multipart form data"): they leave a percent sign as it is."""
    try:
        text = unquote(name, errors="strict")
        if name in (quote(text, safe=""), quote(text, safe="!'()*")):
            return text
    except UnicodeDecodeError:
        pass
    return name.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")


def _text(data: bytes, charset: str) -> str:
    try:
        return data.decode(charset)
    except UnicodeDecodeError:
        return data.decode("latin-1")
