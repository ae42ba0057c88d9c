"""Streaming parsers of MCP messages that carry a picture: base64 inside the JSON, or a file part. No I/O, no await."""

from __future__ import annotations

import binascii
import re
import secrets
from collections.abc import Callable

from handlers.http.body import UploadBody
from iuserver.errors import Fault

_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_WHITE = b" \t\r\n\f\v"
_DATA_URL = b"data:"
_SAYS_BASE64 = re.compile(rb"; *+base64 *+\Z", re.IGNORECASE)
MAX_DATA_URL = 256
"""Bytes that the head of a data URL may have."""
LONG = 32 * 1024
"""Characters from which on a string is not kept."""
MAX_KEPT = 64 * 1024
"""Bytes that a message may have beside its one long string."""

LONGEST_ESCAPE = len("\\u0000")

_CONTENT = re.compile(rb'(?:[^"\\]++|\\(?:[^u]|u[0-9A-Fa-f]{4}))*+', re.DOTALL)
_ESCAPE = re.compile(rb"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_USUAL_ESCAPES = {
    rb"\/": b"/",
    rb"\u002B": b"+",
    rb"\u002F": b"/",
    rb"\u003D": b"=",
    rb"\r": b"\r",
    rb"\n": b"\n",
    rb"\u002b": b"+",
    rb"\u002f": b"/",
    rb"\u003d": b"=",
}
"""How encoders write what base64 has, where they are careful: of each kind, all or none."""
_SHORT_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}


class Base64:
    """Decodes base64 chunk by chunk into `sink`: standard or URL-safe (RFC 4648), with or without padding,
    white space or the head of a data URL (RFC 2397).

    Every method raises Fault("bad_field") for what is none, and whatever `sink` raises.
    """

    def __init__(self, sink: Callable[[bytes], None]) -> None:
        self._sink = sink
        self._left = b""
        self._begun = False
        self._tidy = True
        self._padded = False

    def feed(self, text: bytes) -> None:
        """Decode a chunk."""
        text = self._left + text
        if not self._begun:
            text = text.lstrip(_WHITE)  # what is left must stay short, or it would be looked through again and again
            behind = _without_head(text)
            if behind is None:
                self._left = text
                return
            text, self._begun = behind, True
        self._decode(text if self._tidy else text.translate(_URL_SAFE, _WHITE))

    def close(self) -> None:
        """It has ended: what is left of it is decoded, its padding put where it is missing."""
        left, self._tidy, self._left = self._left.translate(_URL_SAFE, _WHITE), False, b""
        self._decode(left + b"=" * (-len(left) % 4))

    def _decode(self, text: bytes) -> None:
        """Decode what is whole of it. As long as it is tidy, nothing but that is done: it is what takes the time."""
        whole = len(text) & ~3
        try:
            data = binascii.a2b_base64(text[:whole], strict_mode=True)
        except binascii.Error as error:
            if not self._tidy:
                raise _bad() from error
            self._tidy = False
            self._decode(text.translate(_URL_SAFE, _WHITE))
            return
        self._left = text[whole:]
        if data:
            self._end_at_padding(text[whole - 1 : whole])
            self._sink(data)

    def _end_at_padding(self, last: bytes) -> None:
        if self._padded:
            raise _bad()
        self._padded = last == b"="


def _without_head(text: bytes) -> bytes | None:
    """What follows the head of a data URL, if there is one; None as long as that is unknown."""
    beginning = text[: len(_DATA_URL)].lower()
    if beginning != _DATA_URL:
        return None if _DATA_URL.startswith(beginning) else text
    head, comma, behind = text.partition(b",")
    if (comma and not _SAYS_BASE64.search(head[-MAX_DATA_URL:])) or len(head) > MAX_DATA_URL:
        raise _bad()
    return behind if comma else None


def _bad() -> Fault:
    return Fault("bad_field", "data_base64 is not base64")


class LongMessage:
    """Parses JSON chunk by chunk. One string in it may be long: it is decoded as base64 into `sink` while it arrives.
    The rest is kept, with `marker` in place of that string.

    Every method raises Fault: too_large, bad_field, bad_body, and whatever `sink` raises.
    """

    def __init__(self, sink: Callable[[bytes], None]) -> None:
        self.marker = secrets.token_hex(16)
        self._picture = Base64(sink)
        self._kept = bytearray()
        self._string = bytearray()
        self._carried = b""
        self._in_string = False
        self._in_picture = False
        self._had_picture = False

    def feed(self, data: bytes) -> None:
        """Parse a chunk."""
        data, position = self._carried + data, 0
        self._carried = b""
        while position < len(data) and not self._carried:
            position = self._in(data, position) if self._in_string else self._between(data, position)

    def beginning(self) -> bytes:
        """What has come of the message so far."""
        return bytes(self._kept)

    def close(self) -> bytes:
        """The message has ended: what was kept of it."""
        return bytes(self._kept + self._carried)

    def _between(self, data: bytes, start: int) -> int:
        quote = data.find(b'"', start)
        self._in_string = quote >= 0
        stop = quote + 1 or len(data)
        self._keep(data[start:stop])
        return stop

    def _in(self, data: bytes, start: int) -> int:
        """Take what is there of a string; an escape that is cut in two waits for its rest."""
        stop = _content_end(data, start)
        self._grow(data[start:stop])
        if data[stop : stop + 1] == b'"':
            self._end_string()
            return stop + 1
        self._carried = data[stop:]
        if len(self._carried) >= LONGEST_ESCAPE:
            raise Fault("bad_body", "The body is not JSON")
        return stop

    def _grow(self, piece: bytes) -> None:
        if self._in_picture:
            self._picture.feed(_unescaped(piece))
            return
        self._string += piece
        if len(self._string) > LONG:
            if self._had_picture:
                raise Fault("too_large", "Nothing but data_base64 may be that long")
            self._in_picture = self._had_picture = True
            self._picture.feed(_unescaped(bytes(self._string)))
            self._string.clear()

    def _end_string(self) -> None:
        if self._in_picture:
            self._picture.close()
            self._keep(self.marker.encode())
        self._keep(bytes(self._string) + b'"')
        self._string.clear()
        self._in_string = self._in_picture = False

    def _keep(self, piece: bytes) -> None:
        self._kept += piece
        if len(self._kept) > MAX_KEPT:
            raise Fault("too_large", f"Beside data_base64 a request may have {MAX_KEPT} bytes")


class MessageWithFile:
    """Takes a form: JSON in its field `message`, and a file, which goes to `sink`. The same methods as LongMessage.

    So a program with the file at hand needs no base64. Every method raises Fault: bad_body, bad_field.
    """

    marker = None

    def __init__(self, content_type: str, sink: Callable[[bytes], None]) -> None:
        self._body = UploadBody(content_type, sink, MAX_KEPT)
        self.feed = self._body.feed

    def beginning(self) -> bytes:
        return self._body.begun("message")

    def close(self) -> bytes:
        fields, _ = self._body.close()
        return fields.get("message", "").encode()


def _content_end(data: bytes, start: int) -> int:
    """Where the content of a string ends: at its quote, or as far as it is there, an escape that is cut in two left
    out."""
    quote = data.find(b'"', start)
    stop = quote if quote >= 0 else len(data)
    if b"\\" not in data[max(start, stop - LONGEST_ESCAPE) : stop]:
        return stop
    content = _CONTENT.match(data, start)
    assert content
    return content.end()


def _unescaped(piece: bytes) -> bytes:
    """A piece of a JSON string as what it means, as far as base64 goes: other characters are any that it has not."""
    if b"\\" not in piece:
        return piece
    if b"\\\\" not in piece:
        for written, meant in _USUAL_ESCAPES.items():  # many times faster than what follows
            piece = piece.replace(written, meant)
            if b"\\" not in piece:
                return piece
    return _ESCAPE.sub(_meaning, piece)


def _meaning(escape: re.Match[bytes]) -> bytes:
    code, short = escape.groups()
    if code:
        return bytes([min(int(code, 16), 0xFF)])
    return _SHORT_ESCAPES.get(short, short)
